/** `oomkit guard --policy container` on real kernels: a container ends as a whole, and a fork bomb ends at all. */

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
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { startContainer, whyNoRunc } from "../helpers/runc_container.ts";
import { isThere } from "../helpers/is_there.ts";

const LIMIT = 48 * MIB;

kernelTest("everything in a cgroup and beneath it is ended together with the victim", async () => {
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

/** 64 KiB at a time: as fast as it goes there is nothing to be told by. */
const LEAK = "while :; do head -c 65536 /dev/zero; done | tail -c 1000000000";

kernelTest(
  "a runc container is gone as a whole, its own process too, and its neighbour lives",
  async () => {
    await using parent = makeRealCgroup("runc");
    const options = { parent, limit: LIMIT, cgroupNamespace: true };
    await using container = await startContainer(options);
    await using neighbour = await startContainer(options);
    const words = ["-r", "--policy", "container", parent.path];
    await using guarded = await startGuarded(words);
    // At once: what is not ended by the guard would go on for ever.
    const [{ code }, action] = await Promise.all([
      container.exec(["sh", "-c", LEAK]),
      guarded.next(isKillAction),
    ]);
    assert.equal(code, 137);
    assert.deepEqual([action.outcome, action.killed_cgroup], ["killed", container.path]);
    assert.equal(action.cgroup, container.path);
    // runc takes the cgroup away when the container's own process has ended.
    const dir = `${parent.dir}/${container.name}`;
    await until("the container is gone", () => !isThere(dir) || pidsOf({ dir }).length === 0);
    assert.equal((await neighbour.exec(["true"])).code, 0);
    assert.equal(killActionsOf(await guarded.stop()).length, 1);
  },
  { why: noRunc },
);

interface PidsLimit extends Disposable {
  /** Where a process is to move into as well; the same cgroup on v2. */
  readonly dir: string;
}

/** Of `cgroup`; on v1 that is a cgroup of another hierarchy. `undefined` where there is no such controller. */
function limitPids(cgroup: RealCgroup, most: number): PidsLimit | undefined {
  const own = /^\d+:(?:[^:]*,)?pids[,:](.*)$/m.exec(Deno.readTextFileSync("/proc/self/cgroup"));
  const above = `/sys/fs/cgroup/pids${own?.[1] === "/" ? "" : own?.[1]}`;
  const name = cgroup.dir.slice(cgroup.dir.lastIndexOf("/") + 1);
  const dir = cgroup.version === 2 ? cgroup.dir : `${above}/${name}`;
  if (cgroup.version === 2 ? !isFile(`${dir}/pids.max`) : !isThere(above)) return undefined;
  if (cgroup.version === 1) Deno.mkdirSync(dir);
  const set = (text: string) => Deno.writeTextFileSync(`${dir}/pids.max`, text, { create: false });
  set(String(most));
  return {
    dir,
    [Symbol.dispose]() {
      // Then whatever is left of it can be killed one by one.
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

/** Each forks without end, and one that may not forks again: nothing but to kill all of them at once ends it. */
const BOMB = `
echo 0 > "$0/cgroup.procs" && echo 0 > "$1/cgroup.procs" || exit
bomb() { while :; do command eval "bomb &" 2>/dev/null || :; done; }
bomb`;

kernelTest("a fork bomb ends", async () => {
  await using cgroup = makeRealCgroup("bomb");
  cgroup.limit(16 * MIB);
  using limited = limitPids(cgroup, 120);
  assert.ok(limited, "there is no pids controller");
  await using guarded = await startGuarded(["--policy", "container", cgroup.path]);
  const bomb = new Deno.Command("sh", {
    args: ["-c", BOMB, cgroup.dir, limited.dir],
    stdin: "null",
    stderr: "null",
  }).spawn();
  const action = await guarded.next(isKillAction);
  assert.equal((await bomb.status).signal, "SIGKILL");
  assert.deepEqual([action.outcome, action.killed_cgroup], ["killed", cgroup.path]);
  assert.deepEqual([...pidsOf(cgroup), ...pidsOf(limited)], []);
});
