/** A guard's life from its start to its end, which it may lose at any of its steps; and what is left of it afterwards. */

import assert from "node:assert/strict";
import { isAlive, startGuarded, type StateFolder, until } from "../helpers/guarded.ts";
import type { RealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit, type Ran, runOomkit } from "../helpers/run_oomkit.ts";
import type { EventStream } from "../helpers/event_stream.ts";

export interface End {
  /** A line of the log of steps, see count.ts. */
  readonly step: string;
  readonly side: "before" | "after";
  /** Whether its minder lives on. */
  readonly isMinded: boolean;
}

export interface Lived {
  /** All that were done, in order. */
  readonly steps: readonly string[];
  /** Whether it came to the step at which it was to end. */
  readonly isKilled: boolean;
  /** Its minder's pid, if it came to have one. */
  readonly minder?: number;
}

/**
 * The sources under this very Deno; in the guest, where there are none, their bundles, in the folder that
 * OOMKIT_PROGRAM names.
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

/** @param play what happens to it until it ends by itself; fails when it dies before. */
export async function live(
  args: readonly string[],
  state: StateFolder,
  play: (guarded: EventStream) => Promise<void>,
  end?: End,
): Promise<Lived> {
  using log = makeLog();
  const env = {
    ...state.env,
    OOMKIT_STEPS_LOG: log.path,
    ...(end === undefined ? {} : { OOMKIT_STEP: `${end.step} ${end.side}` }),
    ...(end?.isMinded === false ? { OOMKIT_STEP_MINDER: "dies" } : {}),
  };
  const isReached = () => end !== undefined && log.lines().includes(end.step);
  try {
    const program = countedProgram();
    await using guarded = await startGuarded(args, { env, program, stateFolder: state.path });
    await play(guarded);
    const { code } = await guarded.ended();
    // It is of no account in the last step that is waited for.
    if (!isReached()) assert.equal(code, 0, guarded.stderr);
  } catch (error) {
    // Whatever was waited for, it could not come any more.
    if (!isReached()) throw error;
  }
  const [steps, others] = partition(log.lines(), (line) => !line.startsWith("minder "));
  const minder = others.at(-1)?.split(" ")[1];
  return { steps, isKilled: isReached(), ...(minder ? { minder: Number(minder) } : {}) };
}

function partition<T>(all: readonly T[], isFirst: (each: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((each) => !isFirst(each))];
}

interface Log extends Disposable {
  readonly path: string;
  lines(): string[];
}

function makeLog(): Log {
  const folder = Deno.makeTempDirSync({ prefix: "oomkit-test-steps-" });
  const path = `${folder}/steps`;
  Deno.writeTextFileSync(path, "");
  return {
    path,
    lines: () => Deno.readTextFileSync(path).split("\n").filter((line) => line !== ""),
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

/** Nobody who was started for this folder is left; a minder keeps its pid when it becomes another program. */
export async function untilNobodyIsLeft(state: StateFolder, minder?: number): Promise<void> {
  const known = new Set(minder === undefined ? [] : [minder]);
  await until(`nobody is left who works for ${state.path}`, () => {
    for (const pid of workersFor(state)) known.add(pid);
    return ![...known].some(isAlive);
  });
}

function workersFor({ path }: StateFolder): number[] {
  const requested = `OOMKIT_STATE_DIR=${path}\0`;
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => {
    try {
      // Empty of those who are dead already, and of who becomes another program just now.
      return pid > 0 && `${Deno.readTextFileSync(`/proc/${pid}/environ`)}\0`.includes(requested);
    } catch {
      return false;
    }
  });
}

/** Of all who are asked to put something back the one that comes by chance: the next guard, or who is asked for nothing else. */
export async function comeNext(
  state: StateFolder,
  who: "guard" | "release",
  cgroup: RealCgroup,
): Promise<Ran> {
  const again = ["--mode", "notify", "--policy", "noop", "--for", "1ms", cgroup.path];
  const args = who === "guard" ? again : ["--restore"];
  const ran = await runOomkit(["guard", ...args], { env: state.env, program: oomkit() });
  assert.equal(ran.code, 0, ran.stderr);
  return ran;
}

/** What a guard may have changed in it, and the states of its processes that somebody would have to change again. */
export function standingOf(cgroup: RealCgroup): Record<string, unknown> {
  const files = cgroup.version === 1
    ? ["memory.oom_control", "memory.soft_limit_in_bytes", "memory.swappiness"]
    : ["memory.high", "cgroup.freeze"];
  const texts = files.map((file) => [file, readIfThere(`${cgroup.dir}/${file}`)]);
  return { ...Object.fromEntries(texts), stopped: stoppedIn(cgroup) };
}

function readIfThere(path: string): string | undefined {
  try {
    // How often the kernel killed there is its own affair, and so is whether somebody waits until it does.
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

/** The names in the folder of the journals. */
export const leftIn = ({ path }: StateFolder): string[] =>
  [...Deno.readDirSync(path)].map(({ name }) => name);
