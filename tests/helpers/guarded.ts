/** Runs `oomkit guard --json` for a test, with helpers that its tests share. */

import type { HungryProcess } from "./hungry_process.ts";
import type { RealCgroup } from "./real_cgroup.ts";
import { type EventStream, type Json, startEventStream } from "./event_stream.ts";

export interface GuardedOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** The directory of its journal; by default a temporary one. */
  readonly stateDirectory?: string;
  readonly json?: boolean;
  readonly program?: readonly string[];
  /** Milliseconds to wait for an event. */
  readonly timeout?: number;
}

/** Resolves when everything is guarded. */
export async function startGuarded(
  args: readonly string[],
  { env = {}, stateDirectory, json = true, ...rest }: GuardedOptions = {},
): Promise<EventStream> {
  const own = stateDirectory === undefined ? makeStateDirectory() : undefined;
  const words = ["guard", ...(json ? ["--json"] : []), ...args];
  const guarded = await startEventStream(words, {
    // Warnings about the arguments come before.
    armed: /guarding .*\n/,
    env: { OOMKIT_STATE_DIR: stateDirectory ?? own!.path, ...env },
    ...rest,
  }).catch((error) => {
    own?.[Symbol.dispose]();
    throw error;
  });
  return {
    ...guarded,
    get stderr() {
      return guarded.stderr;
    },
    async [Symbol.asyncDispose]() {
      await guarded[Symbol.asyncDispose]();
      own?.[Symbol.dispose]();
    },
  };
}

export interface StateDirectory extends Disposable {
  readonly path: string;
  readonly env: { readonly OOMKIT_STATE_DIR: string };
  /** All recorded changes. */
  changes(): Json[];
}

export function makeStateDirectory(): StateDirectory {
  const path = Deno.makeTempDirSync({ prefix: "oomkit-test-state-" });
  return {
    path,
    env: { OOMKIT_STATE_DIR: path },
    changes: () =>
      [...Deno.readDirSync(path)].filter(({ name }) => name.endsWith(".json"))
        .flatMap(({ name }) => JSON.parse(textOf(`${path}/${name}`) ?? "[]")),
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

function textOf(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Lets it allocate so much, or until it is killed. */
export async function feedWhileItLives(process: HungryProcess, bytes: number): Promise<void> {
  await process.feed(bytes).catch(() => {});
}

/** Lets it allocate slowly until that is enough or it is killed. */
export async function feedSlowly(
  process: Pick<HungryProcess, "feed">,
  isEnough: () => boolean,
): Promise<void> {
  let lives = true;
  while (lives && !isEnough()) {
    await process.feed(64 * 1024).catch(() => lives = false);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Bytes. */
export const usageOf = (cgroup: Pick<RealCgroup, "read" | "version">): number =>
  Number(cgroup.read(cgroup.version === 1 ? "memory.usage_in_bytes" : "memory.current"));

/** The mode in which a guard changes a control file, on either version. */
export const changingModeOf = ({ version }: Pick<RealCgroup, "version">): string =>
  version === 1 ? "hold" : "throttle";

/** The control file that {@link changingModeOf} changes. */
export const changedFileOf = ({ version }: Pick<RealCgroup, "version">): string =>
  version === 1 ? "memory.oom_control" : "memory.high";

/** Whether a guard has changed it. */
export const isChanged = (cgroup: RealCgroup): boolean =>
  cgroup.version === 1
    ? /^oom_kill_disable 1$/m.test(cgroup.read("memory.oom_control"))
    : cgroup.read("memory.high").trim() !== "max";

/** The number of processes that the kernel has killed there. */
export function kernelKills(cgroup: RealCgroup): number {
  const text = cgroup.read(cgroup.version === 1 ? "memory.oom_control" : "memory.events");
  return Number(/^oom_kill (\d+)$/m.exec(text)![1]);
}

export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}

export function childrenOf(pid: number): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((child) => {
    try {
      const status = child > 0 ? Deno.readTextFileSync(`/proc/${child}/status`) : "";
      return Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]) === pid;
    } catch {
      return false;
    }
  });
}

export function restoreWatchdogOf(guard: number): number {
  const watchdog = childrenOf(guard).find((pid) =>
    Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes("oomkit-restore")
  );
  if (watchdog === undefined) throw new Error("the guard has no restore watchdog");
  return watchdog;
}

/** Waits for a condition that nothing notifies of. Throws when it does not become true within 300 s. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 300_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`still waiting after 300 s until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export const pidsOf = (cgroup: Pick<RealCgroup, "dir">): number[] =>
  Deno.readTextFileSync(`${cgroup.dir}/cgroup.procs`).split("\n").filter((pid) => pid !== "")
    .map(Number);

/** A kill by the guard, or an attempt. */
export const isKillAction = (event: Json): boolean =>
  event.type === "action" && (event.action === "process" || event.action === "container");

/** Whether an event reports that the cgroup is guarded, at this limit if given. */
export const isArmed = ({ path }: RealCgroup, bytes?: number) => (event: Json): boolean =>
  event.type === "guard_armed" && event.cgroup === path &&
  (bytes === undefined || event.limit === bytes);

export const isLevel = (requested: string) => ({ type, level }: Json): boolean =>
  type === "level_reached" && level === requested;

export const killActionsOf = (events: readonly Json[]): Json[] => events.filter(isKillAction);

/** By default the imminent level lies 1 MiB below a small limit; this margin leaves room to stay between the two. */
export const WIDE = ["--margin-ratio", "0.3"] as const;
