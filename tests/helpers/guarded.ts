/** Runs `oomkit guard --json` for a test, with helpers that its tests share. */

import type { HungryProcess } from "./hungry_process.ts";
import type { RealCgroup } from "./real_cgroup.ts";
import { type EventStream, type Json, startEventStream } from "./event_stream.ts";

export interface GuardedOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** The folder of its journal; by default a temporary one. */
  readonly stateFolder?: string;
  readonly json?: boolean;
  readonly program?: readonly string[];
  readonly heartbeatAge?: number;
}

/** Resolves when everything is guarded. */
export async function startGuarded(
  args: readonly string[],
  { env = {}, stateFolder, json = true, ...rest }: GuardedOptions = {},
): Promise<EventStream> {
  const own = stateFolder === undefined ? makeStateFolder() : undefined;
  const words = ["guard", ...(json ? ["--json"] : []), ...args];
  const guarded = await startEventStream(words, {
    // Warnings about the arguments come before.
    armed: /guarding .*\n/,
    env: { OOMKIT_STATE_DIR: stateFolder ?? own!.path, ...env },
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

export interface StateFolder extends Disposable {
  readonly path: string;
  readonly env: { readonly OOMKIT_STATE_DIR: string };
  /** All recorded changes. */
  changes(): Json[];
}

export function makeStateFolder(): StateFolder {
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

/** Waits for a condition that nothing notifies of. Throws when it does not become true within 30 s. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`still waiting after 30 s until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export const pidsOf = (cgroup: Pick<RealCgroup, "dir">): number[] =>
  Deno.readTextFileSync(`${cgroup.dir}/cgroup.procs`).split("\n").filter((pid) => pid !== "")
    .map(Number);

/** A kill by the guard, or an attempt. */
export const isKillAction = (event: Json): boolean =>
  event.type === "action" && (event.action === "process" || event.action === "container");

export const isLevel = (requested: string) => ({ type, level }: Json): boolean =>
  type === "level_reached" && level === requested;

export const killActionsOf = (events: readonly Json[]): Json[] => events.filter(isKillAction);

/** By default the imminent level lies 1 MiB below a small limit; this margin leaves room to stay between the two. */
export const WIDE = ["--margin-ratio", "0.3"] as const;
