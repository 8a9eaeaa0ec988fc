/** Guards that change something, one for each kind of change. */

import {
  changingModeOf,
  feedSlowly,
  isKillAction,
  type StateDirectory,
} from "../helpers/guarded.ts";
import { type HungryProcess, startHungryProcess } from "../helpers/hungry_process.ts";
import { MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import type { EventStream } from "../helpers/event_stream.ts";
import { changeableStateOf, type GuardRun, type KillPoint, runGuard } from "./guard_run.ts";

/** The prepared cgroups and processes of a scenario. */
export interface PreparedScenario extends AsyncDisposable {
  readonly cgroup: RealCgroup;
  /** What must be the same before and after. */
  changeableState(): unknown;
  /** Runs a guard, and kills it at `killPoint`; afterwards no process allocates any more. */
  run(state: StateDirectory, killPoint?: KillPoint): Promise<GuardRun>;
}

export type Scenario = () => Promise<PreparedScenario>;

const LIMIT = 32 * MIB;

/** Its limit changes, it is filled, and another one is removed. */
export const changing: Scenario = async () => {
  const parent = makeRealCgroup("steps");
  const stays = parent.child("stays");
  const goes = parent.child("goes");
  stays.limit(2 * LIMIT);
  goes.limit(LIMIT);
  const hungry = await startHungryProcess(stays);
  let feeding = Promise.resolve();
  const mode = changingModeOf(parent);
  const args = ["--mode", mode, "--policy", "process", stays.path, goes.path];
  const play = async (guarded: EventStream) => {
    stays.limit(LIMIT);
    await guarded.next(({ type, limit }) => type === "guard_armed" && limit === LIMIT);
    // At full speed tail(1) may reach the limit first, where under hold its system call fails, and it exits by itself.
    feeding = feedSlowly(hungry, () => false);
    await guarded.next(isKillAction);
    await goes[Symbol.asyncDispose]();
    await guarded.next(({ type, outcome }) => type === "restored" && outcome === "gone");
    Deno.kill(guarded.pid, "SIGTERM");
  };
  return {
    cgroup: stays,
    changeableState: () => changeableStateOf(stays),
    run: (state, killPoint) => runGuard(args, state, play, killPoint),
    async [Symbol.asyncDispose]() {
      await hungry[Symbol.asyncDispose]();
      await feeding;
      await parent[Symbol.asyncDispose]();
    },
  };
};

/** Several processes fill it so fast that the others are suspended while one is killed. */
export const suspending: Scenario = async () => {
  const cgroup = makeRealCgroup("suspend");
  cgroup.limit(2 * LIMIT);
  const hungry: HungryProcess[] = [];
  for (let n = 0; n < 3; n++) hungry.push(await startHungryProcess(cgroup));
  const args = ["--mode", "notify", "--policy", "process", cgroup.path];
  const play = async (guarded: EventStream) => {
    hungry.forEach(feed);
    await guarded.next(isKillAction);
    Deno.kill(guarded.pid, "SIGTERM");
  };
  return {
    cgroup,
    changeableState: () => changeableStateOf(cgroup),
    run: (state, killPoint) => runGuard(args, state, play, killPoint),
    async [Symbol.asyncDispose]() {
      for (const each of hungry) await each[Symbol.asyncDispose]();
      await cgroup[Symbol.asyncDispose]();
    },
  };
};

/** A container takes so long to exit that it is frozen and killed once more. */
export const freezing: Scenario = async () => {
  const cgroup = makeRealCgroup("freeze");
  cgroup.limit(8 * LIMIT);
  const dir = `/sys/fs/cgroup/freezer/oomkit-test-freeze-${Deno.pid}`;
  Deno.mkdirSync(dir);
  const hungry: HungryProcess[] = [];
  for (let n = 0; n < 4; n++) {
    const before = `echo $$ > ${dir}/cgroup.procs`;
    hungry.push(await startHungryProcess(cgroup, { before }));
    await hungry[n]!.feed(1.5 * LIMIT);
  }
  const args = ["--mode", "hold", "--policy", "container", cgroup.path];
  const play = async (guarded: EventStream) => {
    feed(hungry[0]!);
    await guarded.next(isKillAction);
    Deno.kill(guarded.pid, "SIGTERM");
  };
  const state = () => Deno.readTextFileSync(`${dir}/freezer.state`);
  return {
    cgroup,
    changeableState: () => ({ ...changeableStateOf(cgroup), freezer: state() }),
    run: (directory, killPoint) => runGuard(args, directory, play, killPoint),
    async [Symbol.asyncDispose]() {
      Deno.writeTextFileSync(`${dir}/freezer.state`, "THAWED");
      for (const each of hungry) await each[Symbol.asyncDispose]();
      await cgroup[Symbol.asyncDispose]();
      Deno.removeSync(dir);
    },
  };
};

/** Beyond the limit; the test learns from events whether that killed the process. */
function feed(process: HungryProcess): void {
  process.feed(4 * LIMIT).catch(() => {});
}
