import assert from "node:assert/strict";
import { OomkitError } from "../../../core/errors.ts";
import {
  directoryOf,
  discover,
  join,
  pathOf,
  relativeTo,
  whyNoMemory,
} from "../../../core/cgroup/hierarchy.ts";
import { parseMountinfo } from "../../../core/parse/mountinfo.ts";
import { makeTree } from "../../helpers/trees.ts";

Deno.test("a directory laid out like v1 or v2 is recognized by its files", () => {
  for (const version of [1, 2] as const) {
    using tree = makeTree(version, { "/a": {} });
    const hierarchy = discover(tree.dir);
    assert.equal(hierarchy.version.number, version);
    assert.equal(hierarchy.mount, tree.dir);
    assert.equal(hierarchy.root, "/");
    assert.equal(hierarchy.kernel, false);
    assert.equal(hierarchy.hidden, false);
    assert.equal(hierarchy.own, undefined);
  }
});

Deno.test("the memory controller's directory may be a child of the given one", () => {
  const parent = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "oomkit-test-" }));
  using tree = makeTree(1);
  Deno.renameSync(tree.dir, `${parent}/memory`);
  try {
    assert.equal(discover(parent).mount, `${parent}/memory`);
  } finally {
    Deno.renameSync(`${parent}/memory`, tree.dir);
    Deno.removeSync(parent);
  }
});

Deno.test("a path that is not a directory or not a cgroup tree is refused in one line with a hint", () => {
  const empty = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    for (const dir of [empty, `${empty}/nothing`, "/dev/null"]) {
      assert.throws(() => discover(dir), (error) => {
        assert.ok(error instanceof OomkitError, String(error));
        assert.match(error.message, /^cannot use --root [^\n]*$/);
        return true;
      });
    }
  } finally {
    Deno.removeSync(empty);
  }
});

Deno.test("paths and directories map both ways, also if only a part is mounted", () => {
  using tree = makeTree(2);
  const whole = discover(tree.dir);
  assert.equal(directoryOf(whole, "/a/b"), `${tree.dir}/a/b`);
  assert.equal(directoryOf(whole, "/"), tree.dir);
  assert.equal(pathOf(whole, `${tree.dir}/a`), "/a");
  assert.equal(pathOf(whole, `${tree.dir}x`), undefined);
  const part = { ...whole, root: "/docker/1" };
  assert.equal(directoryOf(part, "/docker/1/a"), `${tree.dir}/a`);
  assert.equal(directoryOf(part, "/docker/1"), tree.dir);
  assert.equal(directoryOf(part, "/docker/12"), undefined);
  assert.equal(pathOf(part, tree.dir), "/docker/1");
});

Deno.test("joining and cutting a path leaves no double or trailing slash", () => {
  assert.equal(join("/", "/a/"), "/a");
  assert.equal(join("/a", ""), "/a");
  assert.equal(join("/", ""), "/");
  assert.equal(relativeTo("/a", "/a"), "/");
  assert.equal(relativeTo("/", "/a/b"), "/a/b");
  assert.equal(relativeTo("/a", "/ab"), undefined);
});

Deno.test("without a memory hierarchy the reason tells v1 without the controller from no mount", () => {
  const why = (...mounts: string[]) =>
    whyNoMemory(parseMountinfo(mounts.map((text, n) => `${n} 1 0:${n} / ${text}\n`).join("")));
  const v1 = "/sys/fs/cgroup/cpu rw - cgroup cpu rw,cpu";
  const v2 = "/sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
  assert.equal(why("/proc rw - proc proc rw"), "no cgroup file system is mounted");
  assert.match(why(v1), /^no cgroup v1 mount has the memory controller; .*CONFIG_MEMCG_V1/);
  assert.equal(why(v1, v2), "/sys/fs/cgroup/unified has no memory controller");
});
