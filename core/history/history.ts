/** What was OOM-killed on this machine, from every log that is there, each kill once. */

import { tryReadText } from "../cgroup/files.ts";
import { readMachine } from "../cgroup/machine.ts";
import { OomkitError } from "../errors.ts";
import { uptimeMicroseconds } from "../kernel/clock.ts";
import { omitUndefined } from "../omit_undefined.ts";
import { coverageOf, hasEveryLine } from "./coverage.ts";
import { readJournal } from "./journal.ts";
import { readKernelRing } from "./kernel_ring.ts";
import { readLogFile } from "./log_file.ts";
import type { Gap, PastKill, ReadLog } from "./log_kills.ts";

/** The logs of this machine. */
export const MACHINE_LOGS = ["kmsg", "journal"] as const;
export type MachineLog = typeof MACHINE_LOGS[number];

export interface HistoryRequest {
  readonly machineLogs: readonly MachineLog[];
  /** The user named the machine's logs: one that cannot be read is a failure, not a gap. */
  readonly areNamed: boolean;
  /** Paths; `-` is stdin. */
  readonly files: readonly string[];
  /** Milliseconds since the epoch: earlier kills are left out. */
  readonly since?: number | undefined;
  /** Called with the number of lines so far of the log that is being read. */
  readonly onLines?: (log: string, lines: number) => void;
}

export interface History {
  readonly logs: readonly ReadLog[];
  /** Oldest first; those without a time come last. */
  readonly kills: readonly PastKill[];
  readonly gaps: readonly Gap[];
  /** Logs that the user named and that could not be read. */
  readonly failures: readonly string[];
  /** Whether kills since `since`, or of this boot, may be in none of the logs. */
  readonly mayMissKills: boolean;
  /** OOM kills of this boot that the kernel counted and that are in no log. */
  readonly unloggedKills: number;
}

/** Throws {@link OomkitError} if no log can be read. */
export async function readHistory(request: HistoryRequest): Promise<History> {
  const logs: ReadLog[] = [];
  const failures: string[] = [];
  const gaps: Gap[] = [];
  const boot = tryReadText("/proc/sys/kernel/random/boot_id")?.trim().replaceAll("-", "");
  // Before the logs: a kill that happens meanwhile is in a log, and was not counted.
  const counted = request.machineLogs.length === 0 ? undefined : readMachine().oomKill;
  const attempt = async (
    source: string,
    isNamed: boolean,
    read: () => ReadLog | undefined | Promise<ReadLog | undefined>,
  ) => {
    try {
      const log = await read();
      if (log) logs.push(log);
      else gaps.push({ reason: "unreadable", source, message: "it has no line of the kernel" });
    } catch (error) {
      if (!(error instanceof OomkitError)) throw error;
      if (isNamed) failures.push(error.message);
      gaps.push({ reason: "unreadable", source, message: error.message });
    }
  };
  const { machineLogs, areNamed, files, since } = request;
  const onLines = (log: string) => (lines: number) => request.onLines?.(log, lines);
  if (machineLogs.includes("journal")) {
    await attempt("journal", areNamed, () => readJournal(since, onLines("the journal")));
  }
  if (machineLogs.includes("kmsg")) {
    await attempt("/dev/kmsg", areNamed, () => readKernelRing(boot));
  }
  // The same file twice would be two sources.
  for (const path of new Set(files)) {
    await attempt(path, true, () => readLogFile(path, onLines(path)));
  }
  if (logs.length === 0) {
    const reasons = gaps.map(({ source, message }) =>
      message.startsWith("cannot") ? message : `${source}: ${message}`
    );
    const isOne = reasons.length === 1 && reasons[0]!.startsWith("cannot");
    throw new OomkitError(`${isOne ? "" : "cannot find a kernel log: "}${reasons.join("; ")}`);
  }
  const merged = mergeKills(logs.map(({ kills }) => kills));
  // Files are of any machine.
  const coverage = machineLogs.length === 0 ? undefined : coverageOf(logs, merged, {
    boot,
    since,
    bootedAt: Date.now() - uptimeMicroseconds() / 1000,
    counted,
  });
  const isFileIncomplete = logs.some((log) => log.kind === "file" && !hasEveryLine(log));
  return {
    logs,
    failures,
    kills: merged.filter(({ at }) => since === undefined || at === undefined || at >= since),
    gaps: [...gaps, ...logs.flatMap(({ gaps }) => gaps), ...coverage?.gaps ?? []],
    mayMissKills: isFileIncomplete || coverage?.mayMissKills === true,
    unloggedKills: coverage?.unloggedKills ?? 0,
  };
}

/** dmesg -T is late by what the clock was set since boot; pids are not reused with the same name that soon. */
const MAX_MS_APART = 60_000;

/** Each kill once, with the names of the logs that have it; the first log that has a value keeps it. */
export function mergeKills(logs: readonly (readonly PastKill[])[]): PastKill[] {
  const byVictim = new Map<string, PastKill[]>();
  for (const kills of logs) {
    for (const kill of kills) {
      const key = `${kill.victim.pid} ${kill.victim.comm}`;
      const known = byVictim.get(key) ?? [];
      // Two of which one has only the date and the other only the uptime are known to be the same by a third.
      const same: PastKill[] = [];
      const whole = () => [...same, kill].reduce(joined);
      const others: PastKill[] = [];
      for (const other of known) (isSameKill(other, whole()) ? same : others).push(other);
      byVictim.set(key, [...others, whole()]);
    }
  }
  return [...byVictim.values()].flat().toSorted(compareTimes);
}

const joined = (one: PastKill, other: PastKill): PastKill => ({
  ...other,
  ...omitUndefined(one),
  sources: [...one.sources, ...other.sources],
});

/** Of the same victim, by pid and name. */
function isSameKill(one: PastKill, other: PastKill): boolean {
  if (other.sources.some((source) => one.sources.includes(source))) return false;
  const differ = <T>(a: T | undefined, b: T | undefined) =>
    a !== undefined && b !== undefined && a !== b;
  // A log has the host's full name, another only its first label.
  const label = (host: string | undefined) => host?.split(".")[0];
  if (differ(one.boot, other.boot) || differ(label(one.host), label(other.host))) return false;
  if (differ(one.uptime, other.uptime)) return false;
  if (one.at !== undefined && other.at !== undefined) {
    return Math.abs(one.at - other.at) <= MAX_MS_APART;
  }
  return one.uptime !== undefined && one.uptime === other.uptime;
}

function compareTimes(one: PastKill, other: PastKill): number {
  const byTime = (one.at ?? Infinity) - (other.at ?? Infinity);
  // Infinity − Infinity.
  if (!Number.isNaN(byTime) && byTime !== 0) return byTime;
  return Number((one.uptime ?? 0n) - (other.uptime ?? 0n));
}
