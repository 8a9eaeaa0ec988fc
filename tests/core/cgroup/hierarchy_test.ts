import assert from "node:assert/strict";
import fc from "fast-check";
import { OomkitError } from "../../../core/errors.ts";
import { directoryOf, discover, join, pathOf, relativeTo } from "../../../core/cgroup/hierarchy.ts";
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

Deno.test("with any nested mounts a directory has the path that leads to it, and no two paths lead to one directory", () => {
  using tree = makeTree(2);
  const whole = discover(tree.dir);
  const paths = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/d", "/d/a"];
  const nested = fc.record({
    mount: fc.constantFrom(...paths.slice(1)).map((path) => `${tree.dir}${path}`),
    root: fc.option(fc.constantFrom(...paths), { nil: undefined }),
  }).map(({ mount, root }) => root === undefined ? { mount } : { mount, root });
  fc.assert(fc.property(fc.array(nested, { maxLength: 4 }), (nested) => {
    const hierarchy = { ...whole, nested };
    for (const path of paths) {
      const dir = directoryOf(hierarchy, path);
      const isCovered = nested.some(({ mount }) => `${tree.dir}${path}/`.startsWith(`${mount}/`));
      assert.equal(dir === undefined, isCovered, path);
      if (dir !== undefined) assert.equal(pathOf(hierarchy, dir), path);
    }
  }));
});

Deno.test("a path that leads out of the namespace has no directory, a name that begins with dots has", () => {
  using tree = makeTree(2);
  const hierarchy = discover(tree.dir);
  for (const path of ["/..", "/../..", "/../a"]) {
    assert.equal(directoryOf(hierarchy, path), undefined);
  }
  for (const path of ["/..a", "/...", "/a..b"]) {
    assert.equal(directoryOf(hierarchy, path), `${tree.dir}${path}`);
  }
});

Deno.test("a copy with files of deeper cgroups only is read", () => {
  const parent = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "oomkit-test-" }));
  try {
    Deno.mkdirSync(`${parent}/two/a/b/c`, { recursive: true });
    Deno.writeTextFileSync(`${parent}/two/a/b/c/memory.current`, "1\n");
    assert.deepEqual(found(`${parent}/two`), [2, `${parent}/two`]);
    Deno.mkdirSync(`${parent}/one/memory/a/b`, { recursive: true });
    Deno.writeTextFileSync(`${parent}/one/memory/a/b/memory.usage_in_bytes`, "1\n");
    assert.deepEqual(found(`${parent}/one`), [1, `${parent}/one/memory`]);
  } finally {
    Deno.removeSync(parent, { recursive: true });
  }
});

function found(dir: string) {
  const { version, mount } = discover(dir);
  return [version.number, mount];
}
