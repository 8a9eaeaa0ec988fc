/** Turns the options into a plan, and rejects what cannot be simulated before anything is created. */

import { OomkitError } from "../../core/errors.ts";
import { omitUndefined } from "../../core/omit_undefined.ts";
import type { Expectation } from "../../core/simulate/event.ts";
import { findDiskDirectory, type Plan, type Room } from "../../core/simulate/plan.ts";
import { formatBytes, type SizeOrPercent } from "../options/units.ts";
import { printable } from "../output/output.ts";
import { DEFAULT_LIMIT, type SimulateFlags } from "./options.ts";

const KIB = 1024;
const MIB = 1024 ** 2;
/** The allocator itself is charged a quarter of this when it moves in, including the kernel's batches. */
const MIN_LIMIT = MIB;
/**
 * Some hundred steps on the way to 20 MiB, and yet fast: 2.5 GiB/s (1.2 to 2.5 in seven runs of `oomkit simulate --mb 1024
 * --json`, by the verdict's duration_ms; Linux 6.18, cgroup v1, 2 cores), which is what the kernel takes to hand out pages.
 */
const MAX_STEP = 64 * KIB;
/** An allocator that is not killed at the limit is helped by reclaim or swap; allocating twice the limit shows it. */
const LIMITS_TO_ALLOCATE = 2;
/** With --rate an allocator moves at least this often. */
const MIN_STEPS_PER_SECOND = 50;
/** OOMHero's warning and critical, as in the example of its documentation. */
const DEFAULT_THRESHOLDS = [{ percent: 65 }, { percent: 90 }];

/** The limit in bytes that the options ask for; `undefined` with --here. */
export function limitOf({ mb, limit, here }: SimulateFlags): number | undefined {
  if (mb !== undefined && limit !== undefined && mb !== limit) {
    throw new OomkitError("cannot use --mb and --limit together: they differ", "give one of them");
  }
  const requested = mb ?? limit;
  if (here === true) {
    if (requested === undefined) return undefined;
    throw new OomkitError(
      "cannot set a limit on oomkit's own cgroup",
      "leave out --mb and --limit with --here",
    );
  }
  const bytes = requested ?? DEFAULT_LIMIT;
  if (bytes >= MIN_LIMIT) return bytes;
  throw new OomkitError(
    `cannot simulate a limit of ${formatBytes(bytes)}: the allocator itself needs more`,
    `use at least ${formatBytes(MIN_LIMIT)}`,
  );
}

/** With too little room an ancestor or the machine would run out first, and other processes would be killed. */
export function checkRoom(limit: number, room: Room | undefined): void {
  if (room === undefined || limit <= room.bytes) return;
  const owner = room.owner === undefined ? "the machine" : printable(room.owner);
  const left = `${owner} has only ${formatBytes(room.bytes)} left`;
  const message = `cannot simulate a limit of ${formatBytes(limit)}: ${left}`;
  throw new OomkitError(message, "choose a smaller limit");
}

/**
 * @param limit bytes of the effective limit; `undefined` for none, which is possible only with --here.
 * @param pageBytes bytes of a page.
 */
export function planOf(flags: SimulateFlags, limit: number | undefined, pageBytes: number): Plan {
  const stopAt = stopOf(flags.stopAt, limit);
  const scale = limit ?? stopAt;
  if (scale === undefined) {
    throw new OomkitError(
      "cannot allocate in oomkit's own cgroup: it has no limit, and the machine would run out of memory",
      "set a limit on it, or give --stop-at 512M",
    );
  }
  return omitUndefined({
    kind: flags.kind,
    step: stepOf(flags, scale, pageBytes),
    maxBytes: limit === undefined ? scale : LIMITS_TO_ALLOCATE * scale,
    holdMs: flags.hold ?? 0,
    processes: flags.procs ?? 1,
    thresholds: thresholdsOf(flags, limit),
    expected: flags.expect ?? expectation(flags),
    isRequested: flags.expect !== undefined,
    rate: flags.rate,
    stopAt,
    onSignal: flags.onSignal,
    http: flags.http,
    directory: flags.kind === "file" ? diskDirectory() : undefined,
    timeoutMs: flags.for,
  });
}

function stopOf(stop: SizeOrPercent | undefined, limit: number | undefined): number | undefined {
  if (stop === undefined) return undefined;
  if ("percent" in stop) {
    if (limit !== undefined) return Math.floor(limit * stop.percent / 100);
    throw new OomkitError(
      `cannot stop at ${stop.percent}%: oomkit's own cgroup has no limit`,
      "give a size, such as --stop-at 512M",
    );
  }
  if (limit === undefined || stop.bytes <= limit) return stop.bytes;
  throw new OomkitError(
    `cannot stop at ${formatBytes(stop.bytes)}: the limit is ${formatBytes(limit)}`,
    "use a --stop-at up to the limit",
  );
}

/** Whole pages. */
function stepOf({ step, rate }: SimulateFlags, scale: number, pageBytes: number): number {
  if (step !== undefined) {
    if (step <= scale) return Math.ceil(step / pageBytes) * pageBytes;
    throw new OomkitError(
      `cannot allocate ${formatBytes(step)} per step: that is more than ${formatBytes(scale)}`,
      "use a smaller --step",
    );
  }
  const wanted = Math.min(MAX_STEP, scale / 256, (rate ?? Infinity) / MIN_STEPS_PER_SECOND);
  return Math.max(pageBytes, Math.floor(wanted / pageBytes) * pageBytes);
}

/** Where the watch alerts. @param limit bytes of the effective limit; `undefined` for none. */
export function thresholdsOf(
  { threshold }: Pick<SimulateFlags, "threshold">,
  limit: number | undefined,
) {
  if (threshold === undefined) return limit === undefined ? [] : DEFAULT_THRESHOLDS;
  if (limit !== undefined || threshold.every((each) => "bytes" in each)) return threshold;
  throw new OomkitError(
    "cannot use a percentage as --threshold: oomkit's own cgroup has no limit",
    "give a size, such as --threshold 512M",
  );
}

/** What the options lead to; `null` where it depends on signals or on timing. */
function expectation(flags: SimulateFlags): Expectation | null {
  const { onSignal } = flags;
  if (flags.for !== undefined || onSignal === "free" || onSignal === "exit") return null;
  const isSawTooth = flags.fake !== undefined && flags.growth === "saw-tooth";
  return flags.stopAt !== undefined || flags.kind === "file" || isSawTooth
    ? "survived"
    : "oom_kill";
}

function diskDirectory(): string {
  const candidates = [Deno.env.get("TMPDIR"), "/var/tmp", "/tmp", Deno.cwd()];
  const directory = findDiskDirectory(candidates.filter((each) => each !== undefined));
  if (directory !== undefined) return directory;
  throw new OomkitError(
    "cannot fill the page cache: no directory on a disk is writable",
    "name one with TMPDIR=…, or use --kind anon",
  );
}
