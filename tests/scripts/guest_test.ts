import assert from "node:assert/strict";
import { withFolders, writeArchive } from "../../scripts/guest_kernel/cpio.ts";
import { findKernel, quoted } from "../../scripts/guest_kernel/image.ts";

Deno.test("in an archive each folder precedes its content, once, with its own mode", () => {
  const entries = withFolders([
    { kind: "text", path: "/a/b/c", text: "" },
    { kind: "text", path: "/a/d", text: "" },
    { kind: "folder", path: "/a/b", mode: 0o700 },
  ]);
  assert.deepEqual(entries.map((entry) => entry.path), ["/a", "/a/b", "/a/b/c", "/a/d"]);
  assert.deepEqual(entries[1], { kind: "folder", path: "/a/b", mode: 0o700 });
});

Deno.test("an archive holds name, mode, size and content, aligned to four bytes", () => {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${folder}/source`, "12345");
    writeArchive(`${folder}/archive`, [
      { kind: "copy", path: "/x", from: `${folder}/source`, mode: 0o755 },
      { kind: "link", path: "/yy", to: "x" },
    ]);
    const text = Deno.readTextFileSync(`${folder}/archive`);
    assert.equal(text.length % 4, 0);
    // magic, inode, mode, uid, gid, links, time, size: eight digits each after the magic's six.
    assert.match(text, /^07070100000001000081ed0{16}000000010{8}00000005/);
    assert.equal(text.indexOf("12345"), 110 + "x\0".length);
    assert.equal(text.indexOf("070701", 6), 112 + 8);
    assert.match(text, /yy\0{4}x\0{3}070701/);
    assert.ok(text.includes("TRAILER!!!\0"));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("the newest kernel is chosen by version number, other flavours are ignored", () => {
  const folder = Deno.makeTempDirSync();
  try {
    assert.equal(findKernel(folder), undefined);
    for (const version of ["6.1.0-9-cloud-amd64", "6.1.0-56-cloud-amd64", "6.12.0-1-amd64"]) {
      Deno.writeTextFileSync(`${folder}/vmlinuz-${version}`, "");
    }
    assert.equal(findKernel(folder)?.version, "6.1.0-56-cloud-amd64");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("an argument passes the guest's shell unchanged", () => {
  const word = 'it\'s $HOME `x` \\ "q" \n*';
  const { stdout } = new Deno.Command("/bin/sh", { args: ["-c", `printf %s ${quoted(word)}`] })
    .outputSync();
  assert.equal(new TextDecoder().decode(stdout), word);
});
