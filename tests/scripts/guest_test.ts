import assert from "node:assert/strict";
import { withDirectories, writeArchive } from "../../scripts/guest_kernel/cpio.ts";
import { findKernel, quoted } from "../../scripts/guest_kernel/image.ts";
import { qemuArguments } from "../../scripts/guest_kernel/qemu.ts";
import { tscKhz } from "../../scripts/guest_kernel/tsc.ts";

Deno.test("in an archive each directory precedes its content, once, with its own mode", () => {
  const entries = withDirectories([
    { kind: "text", path: "/a/b/c", text: "" },
    { kind: "text", path: "/a/d", text: "" },
    { kind: "directory", path: "/a/b", mode: 0o700 },
  ]);
  assert.deepEqual(entries.map((entry) => entry.path), ["/a", "/a/b", "/a/b/c", "/a/d"]);
  assert.deepEqual(entries[1], { kind: "directory", path: "/a/b", mode: 0o700 });
});

Deno.test("an archive holds name, mode, size and content, aligned to four bytes", () => {
  const directory = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${directory}/source`, "12345");
    writeArchive(`${directory}/archive`, [
      { kind: "copy", path: "/x", from: `${directory}/source`, mode: 0o755 },
      { kind: "link", path: "/yy", to: "x" },
    ]);
    const text = Deno.readTextFileSync(`${directory}/archive`);
    assert.equal(text.length % 4, 0);
    // magic, inode, mode, uid, gid, links, time, size: eight digits each after the magic's six.
    assert.match(text, /^07070100000001000081ed0{16}000000010{8}00000005/);
    assert.equal(text.indexOf("12345"), 110 + "x\0".length);
    assert.equal(text.indexOf("070701", 6), 112 + 8);
    assert.match(text, /yy\0{4}x\0{3}070701/);
    assert.ok(text.includes("TRAILER!!!\0"));
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("the newest kernel is chosen by version number, other flavours are ignored", () => {
  const directory = Deno.makeTempDirSync();
  try {
    assert.equal(findKernel(directory), undefined);
    Deno.mkdirSync(`${directory}/boot`);
    for (const version of ["6.1.0-9-cloud-amd64", "6.1.0-56-cloud-amd64", "6.12.0-1-amd64"]) {
      Deno.writeTextFileSync(`${directory}/boot/vmlinuz-${version}`, "");
    }
    assert.deepEqual(findKernel(directory), {
      path: `${directory}/boot/vmlinuz-6.1.0-56-cloud-amd64`,
      version: "6.1.0-56-cloud-amd64",
      root: directory,
    });
    assert.equal(findKernel(directory, "arm64"), undefined);
    Deno.writeTextFileSync(`${directory}/boot/vmlinuz-6.1.0-57-cloud-arm64`, "");
    assert.equal(findKernel(directory, "arm64")?.version, "6.1.0-57-cloud-arm64");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("a machine of each architecture has the same four ports, in the same order", () => {
  const rest = {
    directory: "/a,b",
    kernel: "/k",
    memory: 512,
    hasDisk: false,
    boot: "",
    tscKhz: undefined,
  };
  const [amd64, arm64] = (["amd64", "arm64"] as const).map((architecture) =>
    qemuArguments({ architecture, ...rest })
  ) as [string[], string[]];
  const devices = ["console", "stdout", "stderr", "result"];
  const serial = amd64.filter((_, at) => amd64[at - 1] === "-serial");
  assert.deepEqual(serial, devices.map((device) => `chardev:${device}`));
  const ports = devices.map((device, at) => `chardev${at + 1}=${device}`);
  assert.equal(arm64.at(-1), ["pci-serial-4x", ...ports].join());
  for (const words of [amd64, arm64]) {
    assert.ok(words.includes("socket,id=stdout,path=/a,,b/stdout"), "a comma in a path is doubled");
  }
});

Deno.test("an argument passes the guest's shell unchanged", () => {
  const word = 'it\'s $HOME `x` \\ "q" \n*';
  const { stdout } = new Deno.Command("/bin/sh", { args: ["-c", `printf %s ${quoted(word)}`] })
    .outputSync();
  assert.equal(new TextDecoder().decode(stdout), word);
});

Deno.test("two measurements of the time stamp counter differ by less than the kernel corrects", async () => {
  if (Deno.build.arch !== "x86_64") return;
  const [first, second] = [await tscKhz(), await tscKhz()];
  assert.ok(first !== undefined && second !== undefined);
  assert.ok(first > 100_000 && Math.abs(first - second) < first / 100, `${first}, ${second}`);
});
