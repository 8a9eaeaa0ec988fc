/** From the options to a plan that can be carried out; whatever cannot is said here, before anything is made. */

import { OomkitError } from "../../core/errors.ts";
import { findDiskFolder } from "../../core/simulate/folder.ts";
import type { Plan } from "../../core/simulate/plan.ts";
import type { Expectation } from "../../core/simulate/event.ts";
import type { Room } from "../../core/simulate/target.ts";
import { printable } from "../output/output.ts";
import { DEFAULT_LIMIT, type SimulateFlags } from "./options.ts";
import { formatBytes, type SizeOrPercent } from "../options/units.ts";

const PAGE = 4096;
const KIB = 1024;
const MIB = 1024 ** 2;
/** What the allocator itself is charged when it moves in, the kernel's batches included, is a quarter of this. */
const SMALLEST_LIMIT = MIB;
/**
 * Some hundred steps on the way to 20 MiB, and yet fast: 2.5 GiB/s (1.2 to 2.5 in seven runs of `oomkit simulate --mb 1024
 * --json`, by the verdict's lasted_ms; Linux 6.18, cgroup v1, 2 cores), which is what the kernel takes to hand out pages.
 */
const LARGEST_STEP = 64 * KIB;
/** Whoever does not die at the limit is helped by reclaim or by swap; twice as much shows it. */
const ENOUGH = 2;
/** A throttled allocator moves at least so often. */
const STEPS_A_SECOND = 50;

/** The limit that the options ask for, in bytes. */
export function limitOf({ mb, limit, here }: SimulateFlags): number | undefined {
  if (mb !== undefined && limit !== undefined && mb !== limit) {
    throw new OomkitError("cannot use --mb and --limit at once: they differ", "give one of them");
  }
  const asked = mb ?? limit;
  if (here === true) {
    if (asked === undefined) return undefined;
    throw new OomkitError(
      "cannot set a limit on the own cgroup",
      "leave --mb and --limit out with --here",
    );
  }
  const bytes = asked ?? DEFAULT_LIMIT;
  if (bytes >= SMALLEST_LIMIT) return bytes;
  throw new OomkitError(
    `cannot simulate a limit of ${
      formatBytes(bytes)
    }: that is less than the allocator needs itself`,
    `use at least ${formatBytes(SMALLEST_LIMIT)}`,
  );
}

/** Others would be killed for a limit that the machine or an ancestor meets first. */
export function checkRoom(limit: number, room: Room | undefined): void {
  if (room === undefined || limit <= room.bytes) return;
  const where = room.owner === undefined ? "the machine" : printable(room.owner);
  throw new OomkitError(
    `cannot simulate a limit of ${formatBytes(limit)}: ${where} has ${
      formatBytes(room.bytes)
    } left`,
    "choose a smaller one",
  );
}

/** @param limit bytes of the effective limit; `undefined` for none, which only `--here` can meet. */
export function planOf(flags: SimulateFlags, limit: number | undefined): Plan {
  const { kind, rate, onSignal, http, hold, procs } = flags;
  const stopAt = stopOf(flags.stopAt, limit);
  const scale = limit ?? stopAt;
  if (scale === undefined) {
    throw new OomkitError(
      "cannot allocate here: the own cgroup has no limit, and the machine would run out of memory",
      "set a limit on it, or give --stop-at 512M",
    );
  }
  const folder = kind === "file" ? diskFolder() : undefined;
  return {
    kind,
    step: stepOf(flags, scale),
    most: limit === undefined ? scale : ENOUGH * scale,
    hold: hold ?? 0,
    processes: procs ?? 1,
    thresholds: thresholdsOf(flags, limit),
    expected: flags.expect ?? expectation(flags),
    ...(rate !== undefined && { rate }),
    ...(stopAt !== undefined && { stopAt }),
    ...(onSignal && { onSignal }),
    ...(http && { http }),
    ...(folder !== undefined && { folder }),
    ...(flags.for !== undefined && { for: flags.for }),
  };
}

function stopOf(stop: SizeOrPercent | undefined, limit: number | undefined): number | undefined {
  if (stop === undefined) return undefined;
  if ("percent" in stop) {
    if (limit !== undefined) return Math.floor(limit * stop.percent / 100);
    throw new OomkitError(
      `cannot stop at ${stop.percent}%: the own cgroup has no limit`,
      "give a size, such as --stop-at 512M",
    );
  }
  if (limit === undefined || stop.bytes <= limit) return stop.bytes;
  throw new OomkitError(
    `cannot stop at ${formatBytes(stop.bytes)}: the limit is ${formatBytes(limit)}`,
    "stop at 100% or below",
  );
}

function stepOf({ step, rate }: SimulateFlags, scale: number): number {
  if (step !== undefined) {
    if (step <= scale) return Math.ceil(step / PAGE) * PAGE;
    throw new OomkitError(
      `cannot take steps of ${formatBytes(step)}: that is more than ${formatBytes(scale)}`,
      "use a smaller --step",
    );
  }
  const requested = Math.min(LARGEST_STEP, scale / 256, (rate ?? Infinity) / STEPS_A_SECOND);
  return Math.max(PAGE, Math.floor(requested / PAGE) * PAGE);
}

/** Those that are told of when usage crosses them. @param limit bytes of the effective limit, where there is one. */
export function thresholdsOf(
  { threshold }: Pick<SimulateFlags, "threshold">,
  limit: number | undefined,
) {
  if (threshold === undefined) return limit === undefined ? [] : DEFAULT_THRESHOLDS;
  if (limit !== undefined || threshold.every((each) => "bytes" in each)) return threshold;
  throw new OomkitError(
    "cannot watch for a percentage: the own cgroup has no limit",
    "give the threshold as a size",
  );
}

/** OOMHero's warning and critical, as in the example of its documentation. */
const DEFAULT_THRESHOLDS = [{ percent: 65 }, { percent: 90 }];

/** What the options lead to; `null` where it depends on who sends signals, and when. */
function expectation(flags: SimulateFlags): Expectation | null {
  const { onSignal } = flags;
  if (flags.for !== undefined || onSignal === "free" || onSignal === "exit") return null;
  const shaped = flags.fake !== undefined && flags.growth === "saw-tooth";
  return flags.stopAt !== undefined || flags.kind === "file" || shaped ? "survive" : "oom_kill";
}

function diskFolder(): string {
  const candidates = [Deno.env.get("TMPDIR"), "/var/tmp", "/tmp", Deno.cwd()];
  const folder = findDiskFolder(candidates.filter((each) => each !== undefined));
  if (folder !== undefined) return folder;
  throw new OomkitError(
    "cannot fill the page cache: no folder on a disk can be written",
    "name one with TMPDIR=…, or use --kind anon",
  );
}
