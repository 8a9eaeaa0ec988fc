import assert from "node:assert/strict";
import { pidsInCgroup } from "../../core/cgroup/pids.ts";
import { OomkitError } from "../../core/errors.ts";
import { listDirectories, readText } from "../../core/cgroup/files.ts";
import { inodeOfFd, openDirectory } from "../../core/kernel/fd.ts";
import { openControlFile } from "../../core/kernel/control_file.ts";
import { SystemCallError } from "../../core/kernel/libc.ts";
import { makeTree } from "../helpers/trees.ts";
import { type Fault, inject } from "./injection.ts";

const at = (path: string, fault: Omit<Fault, "name">, from = 1) => [
  { path, fault: { name: "fault", ...fault }, from },
];

Deno.test("a file fails at open or at read, from the requested access on", () => {
  using tree = makeTree(2);
  const path = `${tree.dir}/memory.stat`;
  {
    using _ = inject(at(path, { moment: "open", errno: 2 }));
    assert.equal(readText(path), undefined);
  }
  using _ = inject(at(path, { moment: "read", errno: 5 }, 2));
  assert.ok(readText(path)?.startsWith("anon"));
  assert.throws(() => readText(path), new OomkitError(`cannot read ${path}: injected`));
});

Deno.test("an open file fails at read, with the requested errno", () => {
  using tree = makeTree(2, { "/a": { "memory.current": 4096 } });
  const path = `${tree.dir}/a/memory.current`;
  using kept = openControlFile(path);
  using _ = inject(at(path, { moment: "read", errno: 19 }));
  assert.equal(kept.number(), undefined);
  assert.equal(kept.text(), undefined);
});

Deno.test("half a number of an open file is unknown", () => {
  using tree = makeTree(2, { "/a": { "memory.current": 67108864 } });
  const path = `${tree.dir}/a/memory.current`;
  using kept = openControlFile(path);
  using _ = inject(at(path, { moment: "read", most: 4 }));
  assert.equal(kept.text(), "6710");
  assert.equal(kept.number(), undefined);
});

Deno.test("a list that arrives in pieces is read to its end", () => {
  using tree = makeTree(2, { "/a": { "cgroup.procs": "12345\n678\n9\n" } });
  using home = openDirectory(`${tree.dir}/a`);
  using injection = inject(at(`${tree.dir}/a/cgroup.procs`, { moment: "read", most: 3 }));
  assert.deepEqual([...pidsInCgroup(home)], [12345, 678, 9]);
  assert.equal(injection.accesses.filter(({ moment }) => moment === "read").length, 5);
});

Deno.test("a directory without a readable inode is a SystemCallError with its name", () => {
  using tree = makeTree(2, { "/a": {} });
  using home = openDirectory(`${tree.dir}/a`);
  using _ = inject(at(`${tree.dir}/a`, { moment: "look", errno: 12 }));
  assert.throws(
    () => inodeOfFd(home),
    (error) =>
      error instanceof SystemCallError && error.code === "ENOMEM" &&
      error.object === `${tree.dir}/a`,
  );
});

Deno.test("a directory that fails in the middle of its list is not a short list", () => {
  using tree = makeTree(2, { "/a": {}, "/b": {} });
  using _ = inject(at(tree.dir, { moment: "read", errno: 5 }));
  assert.throws(() => listDirectories(tree.dir), OomkitError);
});

Deno.test("accesses are recorded, also without a fault", () => {
  using tree = makeTree(2);
  const path = `${tree.dir}/cgroup.controllers`;
  using injection = inject();
  readText(path);
  assert.deepEqual(injection.accesses, [{ moment: "open", path }, { moment: "read", path }]);
});
