import assert from "node:assert/strict";
import fc from "fast-check";
import { type Mount, parseMountinfo, visibleMounts } from "../../../core/parse/mountinfo.ts";
import { fixture } from "./fixture.ts";

Deno.test("the v1 memory hierarchy is recognized by its super options", () => {
  const mounts = parseMountinfo(fixture("6.18-v1", "proc/mountinfo"));
  assert.equal(mounts.length, 12);
  assert.deepEqual(mounts.find(({ superOptions }) => superOptions.includes("memory")), {
    id: 51,
    parentId: 47,
    device: 32,
    root: "/",
    mountPoint: "/sys/fs/cgroup/memory",
    options: ["rw", "relatime"],
    fsType: "cgroup",
    source: "cgroup",
    superOptions: ["rw", "memory"],
  });
  assert.deepEqual(mounts.at(-3)?.superOptions, ["rw", "name=systemd"]);
});

Deno.test("the v2 hierarchy is found by its type", () => {
  const mounts = parseMountinfo(fixture("6.1-v2", "proc/mountinfo"));
  assert.deepEqual(mounts.map(({ fsType, mountPoint }) => `${fsType} ${mountPoint}`), [
    "proc /proc",
    "cgroup2 /sys/fs/cgroup",
    "tmpfs /tmp/oomkit-capture/a b\\c#d",
  ]);
});

Deno.test("escapes are undone in mount points and sources", () => {
  const mount = parseMountinfo(fixture("6.18-v1", "proc/mountinfo")).at(-1);
  assert.equal(mount?.mountPoint, "/tmp/oomkit-capture/a b\\c#d");
  assert.equal(mount?.source, "so ur#ce");
});

Deno.test("any number of optional fields may precede the separator", () => {
  const line = (optional: string) =>
    `25 1 0:22 /../.. /sys/fs/cgroup ro ${optional}- cgroup2 none rw,nsdelegate\n`;
  for (const optional of ["", "shared:7 ", "shared:7 master:1 propagate_from:2 unbindable "]) {
    const [mount] = parseMountinfo(line(optional));
    assert.equal(mount?.fsType, "cgroup2");
    assert.equal(mount?.root, "/../..");
    assert.deepEqual(mount?.superOptions, ["rw", "nsdelegate"]);
  }
});

Deno.test("an empty source does not shift the fields after it", () => {
  const [mount] = parseMountinfo("25 1 0:22 / /sys/fs/cgroup/memory rw - cgroup  rw,memory\n");
  assert.equal(mount?.source, "");
  assert.deepEqual(mount?.superOptions, ["rw", "memory"]);
});

Deno.test("lines that lack fields are skipped", () => {
  const whole = "25 1 0:22 / /a rw - cgroup cgroup rw";
  const fields = whole.split(" ");
  for (let kept = 0; kept < fields.length; kept++) {
    assert.deepEqual(parseMountinfo(fields.slice(0, kept).join(" ")), []);
  }
  assert.equal(
    parseMountinfo(`garbage\n${whole}\nx y 0:22 / /b rw - cgroup cgroup rw\n`).length,
    1,
  );
});

Deno.test("arbitrary text never throws", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void parseMountinfo(text)));
  const token = fc.constantFrom("1", "-", "/", "rw", "\\040", "\\999", "shared:1", "");
  fc.assert(fc.property(fc.array(token), (tokens) => void parseMountinfo(tokens.join(" "))));
});

Deno.test("any paths that the kernel can escape read back", () => {
  const escape = (text: string) =>
    text.replace(/[ \t\n\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`);
  const text = fc.string({ unit: fc.constantFrom(..." \t\n\\#/a0-é:") });
  fc.assert(fc.property(fc.tuple(text, text, text), ([root, mountPoint, source]) => {
    const line = `1 2 3:4 /${escape(root)} /${escape(mountPoint)} rw a:1 - x ${
      escape(source)
    } rw\n`;
    const [mount] = parseMountinfo(line);
    assert.deepEqual([mount?.root, mount?.mountPoint, mount?.source], [
      `/${root}`,
      `/${mountPoint}`,
      source,
    ]);
  }));
});

Deno.test("a line that is cut off is not a mount", () => {
  const whole = fixture("6.1-v2", "proc/mountinfo");
  assert.equal(parseMountinfo(whole.slice(0, -3)).length, parseMountinfo(whole).length - 1);
});

/** A model of the kernel's path lookup: at each name it enters what is mounted there on the mount it is in. */
function lookup(mounts: readonly Mount[], path: string): Mount {
  const names = path.split("/").filter((name) => name !== "");
  let current = mounts[0]!;
  for (let depth = 0; depth <= names.length; depth++) {
    const at = `/${names.slice(0, depth).join("/")}`;
    const entered = () =>
      mounts.findLast(({ parentId, mountPoint }) => parentId === current.id && mountPoint === at);
    for (let next = entered(); next; next = entered()) current = next;
  }
  return current;
}

const mountAt = (id: number, parentId: number, mountPoint: string): Mount => ({
  ...{ id, parentId, mountPoint, device: id, root: "/", options: [], fsType: "tmpfs", source: "" },
  superOptions: [],
});

Deno.test("a mount is visible exactly if a lookup of its mount point reaches it", () => {
  const paths = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/a/bc", "/d"];
  const operation = fc.record({ at: fc.constantFrom(...paths), removes: fc.boolean() });
  fc.assert(fc.property(fc.array(operation, { maxLength: 20 }), (operations) => {
    const mounts = [mountAt(1, 0, "/")];
    operations.forEach(({ at, removes }, n) => {
      const parent = lookup(mounts, at);
      const isFree = mounts.every(({ parentId }) => parentId !== parent.id);
      if (!removes) mounts.push(mountAt(n + 2, parent.id, at));
      else if (parent.id !== 1 && isFree) mounts.splice(mounts.indexOf(parent), 1);
    });
    const reached = mounts.filter((mount) => lookup(mounts, mount.mountPoint) === mount);
    assert.deepEqual(visibleMounts(mounts), reached);
  }));
});

Deno.test("a damaged file with a circle of parents does not hang", () => {
  assert.deepEqual(visibleMounts([mountAt(1, 2, "/a"), mountAt(2, 1, "/b")]), []);
});
