/** `oomkit guard --policy container` on real kernels: whole containers are killed, a fork bomb too. */

import assert from "node:assert/strict";
import {
  feedWhileItLives,
  isAlive,
  isKillAction,
  kernelKills,
  killActionsOf,
  pidsOf,
  startGuarded,
  until,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { FAULT, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { startContainer, whyNoRunc } from "../helpers/runc_container.ts";
import { isThere } from "../helpers/is_there.ts";

const LIMIT = 48 * MIB;

kernelTest("all processes in a cgroup and its descendants are killed with the victim", async () => {
  await using parent = makeRealCgroup("whole");
  const [cgroup, neighbour] = [parent.child("a"), parent.child("b")];
  const inner = [cgroup.child("main"), cgroup.child("side")] as const;
  cgroup.limit(LIMIT);
  await using small = await startHungryProcess(inner[1]);
  await using big = await startHungryProcess(inner[0]);
  await using other = await startHungryProcess(neighbour);
  await using guarded = await startGuarded(["--policy", "container", cgroup.path]);
  await feedWhileItLives(big, LIMIT);
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.outcome, action.action, action.killed_cgroup], [
    "killed",
    "container",
    cgroup.path,
  ]);
  assert.equal(action.victim.pid, big.pid);
  for (const { status } of [small, big]) assert.equal((await status).signal, "SIGKILL");
  assert.deepEqual(inner.flatMap(pidsOf), []);
  assert.ok(isAlive(other.pid));
  assert.equal(kernelKills(cgroup), 0);
});

const noRunc = whyNoRunc();

kernelTest(
  "a runc container is killed as a whole, its init process too, and its neighbour survives",
  async () => {
    await using parent = makeRealCgroup("runc");
    const options = { parent, limit: LIMIT, cgroupNamespace: true };
    await using container = await startContainer(options);
    await using neighbour = await startContainer(options);
    const words = ["-r", "--policy", "container", parent.path];
    await using guarded = await startGuarded(words);
    // In parallel: if the guard does not kill it, the allocator never exits.
    const [{ code }, action] = await Promise.all([
      container.exec(["sh", "-c", FAULT]),
      guarded.next(isKillAction),
    ]);
    assert.equal(code, 137);
    assert.deepEqual([action.outcome, action.killed_cgroup], ["killed", container.path]);
    assert.equal(action.cgroup, container.path);
    // runc removes the cgroup when the container's init process has exited.
    const dir = `${parent.dir}/${container.name}`;
    await until("the container is gone", () => !isThere(dir) || pidsOf({ dir }).length === 0);
    assert.equal((await neighbour.exec(["true"])).code, 0);
    assert.equal(killActionsOf(await guarded.stop()).length, 1);
  },
  { why: noRunc },
);

interface PidsLimit extends Disposable {
  /** The cgroup that a process must join as well; the same one on v2. */
  readonly dir: string;
}

/** Limits the processes of `cgroup`; on v1 with a cgroup of the pids hierarchy. `undefined` without a pids controller. */
function limitPids(cgroup: RealCgroup, max: number): PidsLimit | undefined {
  const own = /^\d+:(?:[^:]*,)?pids[,:](.*)$/m.exec(Deno.readTextFileSync("/proc/self/cgroup"));
  const parent = `/sys/fs/cgroup/pids${own?.[1] === "/" ? "" : own?.[1]}`;
  const name = cgroup.dir.slice(cgroup.dir.lastIndexOf("/") + 1);
  const dir = cgroup.version === 2 ? cgroup.dir : `${parent}/${name}`;
  if (cgroup.version === 2 ? !isFile(`${dir}/pids.max`) : !isThere(parent)) return undefined;
  if (cgroup.version === 1) Deno.mkdirSync(dir);
  const set = (text: string) => Deno.writeTextFileSync(`${dir}/pids.max`, text, { create: false });
  set(String(max));
  return {
    dir,
    [Symbol.dispose]() {
      // Nothing can fork any more, so that the remaining processes can be killed one by one.
      set("0");
      for (let pids = pidsOf({ dir }); pids.length > 0; pids = pidsOf({ dir })) {
        for (const pid of pids) if (isAlive(pid)) Deno.kill(pid, "SIGKILL");
      }
      if (cgroup.version === 1) Deno.removeSync(dir);
    },
  };
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Each process forks without end, also after a fork fails: only killing all of them together ends it. */
const BOMB = `
echo 0 > "$0/cgroup.procs" && echo 0 > "$1/cgroup.procs" || exit
bomb() { while :; do command eval "bomb &" 2>/dev/null || :; done; }
bomb`;

kernelTest("a fork bomb is killed", async () => {
  await using cgroup = makeRealCgroup("bomb");
  cgroup.limit(16 * MIB);
  using pidsLimit = limitPids(cgroup, 120);
  assert.ok(pidsLimit, "there is no pids controller");
  await using guarded = await startGuarded(["--policy", "container", cgroup.path]);
  const bomb = new Deno.Command("sh", {
    args: ["-c", BOMB, cgroup.dir, pidsLimit.dir],
    stdin: "null",
    stderr: "null",
  }).spawn();
  const action = await guarded.next(isKillAction);
  // With the OOM killer off the kernel may find no memory for the frame of a signal, here of a child (docs/guarding.md).
  const { signal } = await bomb.status;
  assert.ok(signal === "SIGKILL" || (cgroup.version === 1 && signal === "SIGSEGV"), `${signal}`);
  assert.deepEqual([action.outcome, action.killed_cgroup], ["killed", cgroup.path]);
  const left = () => [...pidsOf(cgroup), ...pidsOf(pidsLimit)];
  await until("all of its processes are gone", () => left().length === 0);
});
