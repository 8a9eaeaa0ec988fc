import assert from "node:assert/strict";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { libc } from "../../core/kernel/libc.ts";
import { removeStale } from "../../core/simulate/stale.ts";
import { createSandbox, type Sandbox, type SandboxOptions } from "../../core/simulate/sandbox.ts";
import { sandboxName, self } from "../../core/simulate/sandbox.ts";
import { whyNoRealCgroup } from "../helpers/real_cgroup.ts";

const ignore = whyNoRealCgroup() !== undefined;
const MIB = 1024 ** 2;

// It stays loaded for good, which within a test would be a leak.
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

/** A shell that moves into the cgroup and stays, with a child that stays too. */
async function inhabit(procsFile: string): Promise<Deno.ChildProcess> {
  const child = new Deno.Command("sh", {
    args: ["-c", `echo 0 > ${procsFile}; sleep 1000 & echo in; wait`],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  reader.releaseLock();
  return child;
}

Deno.test({
  name: "a sandbox has its limit, no swap, and lies beneath a cgroup that is ours",
  ignore,
  async fn() {
    await using sandbox = make({ limit: 20 * MIB });
    const { version, own } = sandbox.cgroup.hierarchy;
    assert.equal(read(sandbox, version.limitFile), String(20 * MIB));
    assert.equal(sandbox.swapOff, true);
    assert.ok(sandbox.cgroup.path.startsWith(own!), sandbox.cgroup.path);
  },
});

Deno.test({
  name: "two sandboxes of one process do not meet",
  ignore,
  async fn() {
    await using first = make();
    await using second = make();
    assert.notEqual(first.cgroup.path, second.cgroup.path);
  },
});

Deno.test({
  name: "memory.oom.group is told as set only where the kernel has it",
  ignore,
  async fn() {
    await using sandbox = make({ group: true });
    assert.equal(sandbox.groupKill, sandbox.cgroup.hierarchy.version.number === 2);
    if (sandbox.groupKill) assert.equal(read(sandbox, "memory.oom.group"), "1");
  },
});

Deno.test({
  name: "removing a sandbox ends what lives in it and beneath it, and doing so twice is harmless",
  ignore,
  async fn() {
    await using sandbox = make();
    const beneath = `${sandbox.cgroup.dir}/beneath`;
    Deno.mkdirSync(beneath);
    const inside = await inhabit(`${beneath}/cgroup.procs`);
    await sandbox.remove();
    await inside.stdout.cancel();
    assert.equal((await inside.status).signal, "SIGKILL");
    assert.equal(isDirectory(sandbox.cgroup.dir), false);
    await sandbox.remove();
  },
});

Deno.test({
  name: "a leftover is removed with what runs in it, a living one is not touched",
  ignore,
  async fn() {
    await using living = make();
    const parent = living.cgroup.dir.slice(0, living.cgroup.dir.lastIndexOf("/"));
    const owner = self()!;
    const name = sandboxName("oomkit-run", { ...owner, startTime: owner.startTime - 1n });
    Deno.mkdirSync(`${parent}/${name}`);
    const inside = await inhabit(`${parent}/${name}/cgroup.procs`);
    const { removed, failed } = await removeStale(living.cgroup.hierarchy);
    await inside.stdout.cancel();
    await inside.status;
    assert.deepEqual(failed, []);
    assert.ok(removed.some((path) => path.endsWith(`/${name}`)), removed.join());
    assert.equal(isDirectory(`${parent}/${name}`), false);
    assert.equal(isDirectory(living.cgroup.dir), true);
  },
});

Deno.test("a tree that is only laid out like a cgroup's has no place for a sandbox", () => {
  using dir = tempDir();
  Deno.mkdirSync(`${dir.path}/a`);
  Deno.writeTextFileSync(`${dir.path}/a/memory.current`, "0\n");
  const made = createSandbox(discover(dir.path), { prefix: "oomkit-sim" });
  assert.ok("refused" in made);
  assert.match(made.refused, /is not a kernel's cgroup tree/);
});

function tempDir(): Disposable & { readonly path: string } {
  const path = Deno.makeTempDirSync();
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}
