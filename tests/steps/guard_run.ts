/** Runs a guard that may be killed at any of its steps, and checks what it leaves. */

import assert from "node:assert/strict";
import { isAlive, startGuarded, type StateDirectory, until } from "../helpers/guarded.ts";
import type { RealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit, type Ran, runOomkit } from "../helpers/run_oomkit.ts";
import type { EventStream } from "../helpers/event_stream.ts";

export interface KillPoint {
  /** A line of the log of steps, see count.ts. */
  readonly step: string;
  readonly side: "before" | "after";
  /** Whether its restore watchdog survives. */
  readonly hasWatchdog: boolean;
}

export interface GuardRun {
  /** In order. */
  readonly steps: readonly string[];
  /** Whether it reached the step at which it was to be killed. */
  readonly isKilled: boolean;
  /** The pid of its restore watchdog, if it has started one. */
  readonly watchdog?: number;
}

/**
 * The sources, run by this Deno; in the guest, where there are none, the bundles in the directory of OOMKIT_PROGRAM.
 */
function countedProgram(): string[] {
  const bundled = Deno.env.get("OOMKIT_PROGRAM");
  const flags = ["run", "-A", "--quiet", "--no-check"];
  if (bundled !== undefined) {
    const preload = ["--no-config", "--preload", `${bundled}/count.js`];
    return [Deno.execPath(), ...flags, ...preload, `${bundled}/main.js`];
  }
  const root = new URL("../..", import.meta.url).pathname;
  const preload = ["-c", `${root}deno.json`, "--preload", `${root}tests/steps/count.ts`];
  return [Deno.execPath(), ...flags, ...preload, `${root}cli/main.ts`];
}

/** @param play what happens until the guard exits by itself; fails when the guard is killed before. */
export async function runGuard(
  args: readonly string[],
  state: StateDirectory,
  play: (guarded: EventStream) => Promise<void>,
  killPoint?: KillPoint,
): Promise<GuardRun> {
  using log = makeLog();
  const env = {
    ...state.env,
    OOMKIT_STEPS_LOG: log.path,
    ...(killPoint === undefined ? {} : { OOMKIT_STEP: `${killPoint.step} ${killPoint.side}` }),
    ...(killPoint?.hasWatchdog === false ? { OOMKIT_STEP_WATCHDOG: "dies" } : {}),
  };
  const isReached = () => killPoint !== undefined && log.lines().includes(killPoint.step);
  try {
    const program = countedProgram();
    await using guarded = await startGuarded(args, { env, program, stateDirectory: state.path });
    await play(guarded);
    const { code } = await guarded.ended();
    // The last step may be reached while its exit is awaited.
    if (!isReached()) assert.equal(code, 0, guarded.stderr);
  } catch (error) {
    // A killed guard cannot do what was awaited.
    if (!isReached()) throw error;
  }
  const isWatchdog = (line: string) => line.startsWith("watchdog ");
  const steps = log.lines().filter((line) => !isWatchdog(line));
  const watchdog = log.lines().findLast(isWatchdog)?.split(" ")[1];
  return { steps, isKilled: isReached(), ...(watchdog ? { watchdog: Number(watchdog) } : {}) };
}

interface Log extends Disposable {
  readonly path: string;
  lines(): string[];
}

function makeLog(): Log {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-steps-" });
  const path = `${directory}/steps`;
  Deno.writeTextFileSync(path, "");
  return {
    path,
    lines: () => Deno.readTextFileSync(path).split("\n").filter((line) => line !== ""),
    [Symbol.dispose]: () => Deno.removeSync(directory, { recursive: true }),
  };
}

/** Waits until every process that works on this directory has exited; a watchdog keeps its pid when it executes another program. */
export async function untilAllHaveExited(state: StateDirectory, watchdog?: number): Promise<void> {
  const known = new Set(watchdog === undefined ? [] : [watchdog]);
  await until(`no process works on ${state.path}`, () => {
    for (const pid of processesFor(state)) known.add(pid);
    return ![...known].some(isAlive);
  });
}

function processesFor({ path }: StateDirectory): number[] {
  const requested = `OOMKIT_STATE_DIR=${path}\0`;
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => {
    try {
      // Empty for a zombie, and during exec(2).
      return pid > 0 && `${Deno.readTextFileSync(`/proc/${pid}/environ`)}\0`.includes(requested);
    } catch {
      return false;
    }
  });
}

/** Restores by the next guard, or by `guard --restore`. */
export async function restoreBy(
  state: StateDirectory,
  by: "guard" | "--restore",
  cgroup: RealCgroup,
): Promise<Ran> {
  const again = ["--mode", "notify", "--policy", "noop", "--for", "1ms", cgroup.path];
  const args = by === "guard" ? again : ["--restore"];
  const ran = await runOomkit(["guard", ...args], { env: state.env, program: oomkit() });
  assert.equal(ran.code, 0, ran.stderr);
  return ran;
}

/** What a guard may have changed in the cgroup: control files, and stopped processes. */
export function changeableStateOf(cgroup: RealCgroup): Record<string, unknown> {
  const files = cgroup.version === 1
    ? ["memory.oom_control", "memory.soft_limit_in_bytes", "memory.swappiness"]
    : ["memory.high", "cgroup.freeze"];
  const texts = files.map((file) => [file, readIfThere(`${cgroup.dir}/${file}`)]);
  return { ...Object.fromEntries(texts), stopped: stoppedIn(cgroup) };
}

function readIfThere(path: string): string | undefined {
  try {
    // Not the kernel's own counter and flag.
    return Deno.readTextFileSync(path).replace(/^(oom_kill|under_oom) \d+\n/gm, "");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function stoppedIn({ dir }: RealCgroup): number[] {
  return (readIfThere(`${dir}/cgroup.procs`) ?? "").split("\n").filter((line) => line !== "")
    .map(Number)
    .filter((pid) => /^State:\s+[Tt]/m.test(readIfThere(`/proc/${pid}/status`) ?? ""));
}

/** The names of the files in the directory of the journals. */
export const filesIn = ({ path }: StateDirectory): string[] =>
  [...Deno.readDirSync(path)].map(({ name }) => name);
