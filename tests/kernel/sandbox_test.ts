import assert from "node:assert/strict";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { libc } from "../../core/kernel/libc.ts";
import {
  createSandbox,
  findParent,
  ownIdentity,
  removeStale,
  type Sandbox,
  sandboxName,
  type SandboxOptions,
} from "../../core/simulate/sandbox.ts";
import { makeDirectory } from "../helpers/directory.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";

// Loaded outside of the tests: it is never unloaded, which a test would report as a leak.
libc();

function make(options: Partial<SandboxOptions> = {}): Sandbox & AsyncDisposable {
  const made = createSandbox(discover(), { prefix: "oomkit-sim", ...options });
  if ("refused" in made) throw new Error(made.refused);
  return { ...made, [Symbol.asyncDispose]: () => made.remove() };
}

const read = (sandbox: Sandbox, name: string) =>
  Deno.readTextFileSync(`${sandbox.cgroup.dir}/${name}`).trim();

function isDirectory(dir: string): boolean {
  try {
    return Deno.statSync(dir).isDirectory;
  } catch {
    return false;
  }
}

/** Starts a shell with a child process in the cgroup. */
async function startShellIn(procsFile: string): Promise<Deno.ChildProcess> {
  const child = new Deno.Command("sh", {
    args: ["-c", `echo 0 > ${procsFile}; sleep 1000 & echo in; wait`],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  reader.releaseLock();
  return child;
}

kernelTest("a sandbox has its limit, no swap, and is below oomkit's own cgroup", async () => {
  await using sandbox = make({ limit: 20 * MIB });
  const { version, own } = sandbox.cgroup.hierarchy;
  assert.equal(read(sandbox, version.limitFile), String(20 * MIB));
  assert.equal(sandbox.swapOff, true);
  assert.ok(sandbox.cgroup.path.startsWith(own!), sandbox.cgroup.path);
});

kernelTest("two sandboxes of one process are different cgroups", async () => {
  await using first = make();
  await using second = make();
  assert.notEqual(first.cgroup.path, second.cgroup.path);
});

kernelTest("memory.oom.group is reported as set only where the kernel has it", async () => {
  await using sandbox = make({ group: true });
  assert.equal(sandbox.groupKill, sandbox.cgroup.hierarchy.version.number === 2);
  if (sandbox.groupKill) assert.equal(read(sandbox, "memory.oom.group"), "1");
});

kernelTest(
  "removing a sandbox kills everything in its subtree, and removing it twice is harmless",
  async () => {
    await using sandbox = make();
    const child = `${sandbox.cgroup.dir}/child`;
    Deno.mkdirSync(child);
    const shell = await startShellIn(`${child}/cgroup.procs`);
    await sandbox.remove();
    await shell.stdout.cancel();
    assert.equal((await shell.status).signal, "SIGKILL");
    assert.equal(isDirectory(sandbox.cgroup.dir), false);
    await sandbox.remove();
  },
);

kernelTest("a stale sandbox is removed with its processes, one in use is not touched", async () => {
  await using inUse = make();
  const parent = inUse.cgroup.dir.slice(0, inUse.cgroup.dir.lastIndexOf("/"));
  const owner = ownIdentity()!;
  const name = sandboxName("oomkit-run", { ...owner, startTime: owner.startTime - 1n });
  Deno.mkdirSync(`${parent}/${name}`);
  const shell = await startShellIn(`${parent}/${name}/cgroup.procs`);
  const { removed, failed } = await removeStale(inUse.cgroup.hierarchy);
  await shell.stdout.cancel();
  await shell.status;
  assert.deepEqual(failed, []);
  assert.ok(removed.some((path) => path.endsWith(`/${name}`)), removed.join());
  assert.equal(isDirectory(`${parent}/${name}`), false);
  assert.equal(isDirectory(inUse.cgroup.dir), true);
});

Deno.test("no sandbox can be created in a fake cgroup tree", () => {
  using directory = makeDirectory();
  Deno.mkdirSync(`${directory.path}/a`);
  Deno.writeTextFileSync(`${directory.path}/a/memory.current`, "0\n");
  const made = createSandbox(discover(directory.path), { prefix: "oomkit-sim" });
  assert.ok("refused" in made);
  assert.match(made.refused, /is not a kernel's cgroup tree/);
});

kernelTest(
  "the parent of a sandbox is found by its processes where the namespace hides the own path",
  () => {
    const { own, ...shifted } = discover();
    assert.notEqual(own, undefined);
    const [expected, found] = [discover(), shifted].map((hierarchy) => {
      const parent = findParent(hierarchy);
      return "refused" in parent ? parent.refused : parent.path;
    });
    assert.equal(found, expected);
    return Promise.resolve();
  },
);
