import assert from "node:assert/strict";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { ownCgroup, resolveTarget } from "../../../core/cgroup/resolve.ts";
import { OomkitError } from "../../../core/errors.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const ID = "3f".repeat(32);
const OTHER = "3f2".padEnd(64, "0");
const UID = "01234567-89ab-cdef-0123-456789abcdef";

function kubernetes(): Tree {
  const slice = `/kubepods.slice/kubepods-pod${UID.replaceAll("-", "_")}.slice`;
  return makeTree(2, {
    "/kubepods.slice": {},
    [slice]: {},
    [`${slice}/cri-containerd-${ID}.scope`]: {},
    [`${slice}/cri-containerd-${ID}.scope/init`]: {},
    "/docker": {},
    [`/docker/${OTHER}`]: {},
    "/system.slice": {},
    "/system.slice/nginx.service": {},
    "/odd[1]": {},
  });
}

const paths = (tree: Tree, target: string) =>
  resolveTarget(discover(tree.dir), target).map(({ path }) => path);

const refusal = (tree: Tree, target: string): string => {
  try {
    paths(tree, target);
  } catch (error) {
    assert.ok(error instanceof OomkitError, String(error));
    assert.ok(!error.message.includes("\n"));
    return error.message;
  }
  throw new Error(`${target} was not refused`);
};

Deno.test("a cgroup is found by path, directory and unit", () => {
  using tree = kubernetes();
  const nginx = ["/system.slice/nginx.service"];
  const ways = [
    "/system.slice/nginx.service",
    "system.slice/nginx.service",
    "//system.slice/./nginx.service/",
    `${tree.dir}/system.slice/nginx.service`,
    "nginx.service",
    "unit:nginx",
    "unit:nginx.service",
  ];
  for (const way of ways) assert.deepEqual(paths(tree, way), nginx, way);
  assert.deepEqual(paths(tree, "/"), ["/"]);
});

Deno.test("a container is found by its id or a prefix, not by a cgroup that it made inside itself", () => {
  using tree = kubernetes();
  for (const way of [ID, `id:${ID}`, ID.slice(0, 12), `id:${ID.slice(0, 12)}`]) {
    const [path, ...more] = paths(tree, way);
    assert.ok(path?.endsWith(`cri-containerd-${ID}.scope`), way);
    assert.deepEqual(more, []);
  }
});

Deno.test("a pod is found by its uid, with dashes or underscores", () => {
  using tree = kubernetes();
  for (const uid of [UID, UID.replaceAll("-", "_"), UID.slice(0, 8)]) {
    assert.match(paths(tree, `pod:${uid}`)[0]!, /kubepods-pod[0-9a-f_]+\.slice$/);
  }
});

Deno.test("a glob finds all matches, and a name with brackets is found as it is", () => {
  using tree = kubernetes();
  assert.deepEqual(paths(tree, "/system.slice/*"), ["/system.slice/nginx.service"]);
  assert.deepEqual(paths(tree, "//system.slice/./*/"), ["/system.slice/nginx.service"]);
  assert.match(refusal(tree, "./**"), /no cgroup matches/);
  assert.equal(paths(tree, "/kubepods.slice/**").length, 3);
  assert.equal(paths(tree, "/**").length, 9);
  assert.deepEqual(paths(tree, "*.slice"), ["/kubepods.slice", "/system.slice"]);
  assert.deepEqual(paths(tree, `${tree.dir}/docker/*`), [`/docker/${OTHER}`]);
  assert.deepEqual(paths(tree, "/odd[1]"), ["/odd[1]"]);
  assert.match(refusal(tree, "/nothing/*"), /no cgroup matches; there is no \/nothing/);
  assert.match(refusal(tree, "/docker/x*"), /no cgroup matches; look at/);
});

Deno.test("any spelling of a path yields the one path that rules match", () => {
  using tree = kubernetes();
  const kernels = { ...discover(tree.dir), kernel: true };
  for (const way of ["system.slice//nginx.service", "system.slice/./nginx.service/"]) {
    const [found] = resolveTarget(kernels, way);
    assert.equal(found?.path, "/system.slice/nginx.service", way);
  }
  assert.match(refusal(tree, `unit:/kubepods-pod${UID.replaceAll("-", "_")}.slice`), /no such/);
  assert.match(refusal(tree, "unit:./nginx.service"), /no such/);
});

Deno.test("an ambiguous prefix lists the candidates", () => {
  using tree = kubernetes();
  assert.match(
    refusal(tree, "id:3f"),
    /ambiguous between .*3f3f.*, 3f20|ambiguous between .*3f20.*3f3f/,
  );
});

Deno.test("an unknown name suggests the closest ones", () => {
  using tree = kubernetes();
  assert.match(refusal(tree, "/sytem.slice"), /did you mean \/system\.slice\?/);
  assert.match(refusal(tree, "unit:ngnix"), /did you mean \/system\.slice\/nginx\.service\?/);
  assert.match(refusal(tree, String(Deno.pid)), /did you mean pid:\d+\?/);
  assert.match(refusal(tree, "pdi:5"), /did you mean pid:5\?/);
  assert.match(refusal(tree, "Unit:nginx.service"), /did you mean unit:nginx\.service\?/);
  assert.match(refusal(tree, "postgres"), /give a cgroup path, a glob, pid:N/);
});

Deno.test("a path that leads out of the tree is refused", () => {
  using tree = kubernetes();
  Deno.symlinkSync("/etc", `${tree.dir}/link`);
  Deno.symlinkSync("..", `${tree.dir}/docker/up`);
  assert.match(refusal(tree, "/docker/../../etc"), /a cgroup path has no "\.\."/);
  assert.match(refusal(tree, "/etc"), /is outside the memory hierarchy/);
  assert.match(refusal(tree, "/link"), /cannot use \/link: \/etc is outside/);
  assert.match(refusal(tree, "link"), /\/etc is outside/);
  assert.deepEqual(paths(tree, "/docker/up"), ["/"]);
});

Deno.test("a control file is not a cgroup", () => {
  using tree = kubernetes();
  assert.match(
    refusal(tree, "/docker/memory.max"),
    /it is not a directory; give the cgroup itself/,
  );
  assert.match(refusal(tree, `${tree.dir}/docker/memory.max`), /it is not a directory/);
});

Deno.test("invalid targets are refused with the reason", () => {
  using tree = kubernetes();
  assert.match(refusal(tree, ""), /it is empty/);
  assert.match(refusal(tree, "pid:"), /it is empty/);
  assert.match(refusal(tree, "pid:-1"), /not a pid/);
  assert.match(refusal(tree, "pid:99999999999"), /not a pid/);
  assert.match(refusal(tree, "pid:2147483647"), /no such process/);
});

Deno.test("in a tree that is not the kernel's a process is found by searching for its pid", () => {
  using tree = kubernetes();
  tree.write("/docker", "cgroup.procs", Deno.pid);
  assert.deepEqual(paths(tree, `pid:${Deno.pid}`), ["/docker"]);
  assert.match(refusal(tree, "pid:1"), /is not visible below/);
});

Deno.test("if only a part is mounted, a path may be relative to it", () => {
  using tree = kubernetes();
  const part = { ...discover(tree.dir), root: "/outer" };
  const found = (target: string) => resolveTarget(part, target).map(({ path }) => path);
  assert.deepEqual(found("/outer/docker"), ["/outer/docker"]);
  assert.deepEqual(found("/docker"), ["/outer/docker"]);
  assert.deepEqual(found("/*.slice"), ["/outer/kubepods.slice", "/outer/system.slice"]);
});

Deno.test("oomkit's own cgroup in a tree that is not the kernel's is the root", () => {
  using tree = kubernetes();
  assert.equal(ownCgroup(discover(tree.dir)).path, "/");
});
