/**
 * The lines of a recording: what the decisions of one run were based on, one JSON line each, in the order in which it was
 * read; documented in docs/schema/recording.schema.json. Sizes are bytes, `at` is milliseconds since the epoch with a
 * fraction; `null` is unknown or no limit. Pure.
 */

import { LEVELS, MODES } from "../policy/levels.ts";

/** Rises with every incompatible change; new fields and new types are compatible. */
export const RECORDING_VERSION = 2;

/** More characters than any line has: the summary of ten thousand cgroups takes 3 MB. */
export const MAX_LINE_LENGTH = 16 * 1024 ** 2;

/**
 * What a guard decided by a snapshot: a step of `core/policy/kill_cycle.ts`; or `deferred`, a kill that was not executed
 * because another victim is still exiting or the snapshot is too old; or `no_victim`. That no other candidate is left while
 * the victim is still exiting is recorded as `kill`.
 */
export const DECISIONS = [
  "reclaim",
  "kill",
  "escalate",
  "wait",
  "skip",
  "exhausted",
  "end",
  "deferred",
  "no_victim",
] as const;
export type RecordedDecision = typeof DECISIONS[number];

type Check<Type> = (value: unknown) => value is Type;
type TypeOf<OneCheck> = OneCheck extends Check<infer Type> ? Type : never;
type Checks = Readonly<Record<string, Check<unknown>>>;
/** What passes all checks of a table; a field that may be `undefined` may be absent. */
type Checked<Fields extends Checks> =
  & {
    readonly [
      Name in keyof Fields as undefined extends TypeOf<Fields[Name]> ? never : Name
    ]: TypeOf<Fields[Name]>;
  }
  & {
    readonly [
      Name in keyof Fields as undefined extends TypeOf<Fields[Name]> ? Name : never
    ]?: Exclude<TypeOf<Fields[Name]>, undefined>;
  };

const isText = (value: unknown) => typeof value === "string";
const isBoolean = (value: unknown) => typeof value === "boolean";
const isFinite = (value: unknown): value is number => Number.isFinite(value);
const isAmount = (value: unknown): value is number => isFinite(value) && value >= 0;
/** Milliseconds since the epoch that a `Date` can hold. */
const isTime = (value: unknown): value is number => isAmount(value) && value < 8e15;
export const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && isAmount(value);
const oneOf = <const Type>(...choices: readonly Type[]) => (value: unknown): value is Type =>
  choices.some((choice) => choice === value);
const orNull = <Type>(check: Check<Type>) => (value: unknown): value is Type | null =>
  value === null || check(value);
const orAbsent = <Type>(check: Check<Type>) => (value: unknown): value is Type | undefined =>
  value === undefined || check(value);
const listOf =
  <Type>(check: Check<Type>, maxLength = Infinity) => (value: unknown): value is readonly Type[] =>
    Array.isArray(value) && value.length <= maxLength && value.every(check);
const shaped =
  <Fields extends Checks>(fields: Fields) => (value: unknown): value is Checked<Fields> =>
    isObject(value) && invalidField(value, fields) === undefined;

/** The first field that fails its check. */
export const invalidField = (value: object, fields: Checks): string | undefined =>
  Object.keys(fields).find((name) => !fields[name]!(fieldOf(value, name)));

export const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Own fields only, not those of `Object.prototype`. */
export const fieldOf = (value: object, name: string): unknown =>
  Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;

const isMode = oneOf(...MODES);

/** The policy of a guard, without the text of commands, which may hold secrets. Sizes are bytes, times milliseconds. */
const isPolicy = shaped({
  /** The rule of the configuration; `null` for the default policy. */
  rule: orNull(isText),
  mode: oneOf("auto", ...MODES),
  /** Percent of the limit. */
  warn: isAmount,
  critical: isAmount,
  /** An absent part is the default of the mode. */
  margin: shaped({
    ratio: orAbsent(isAmount),
    min: orAbsent(isCount),
    max: orAbsent(isCount),
  }),
  metric: oneOf("usage", "working-set"),
  /** For each level its actions: `noop`, `signal:SIGUSR1`, `reclaim`, `process`, `container`, `exec`. */
  actions: shaped({ warn: listOf(isText), critical: listOf(isText), imminent: listOf(isText) }),
  /** A fraction of the level's bytes. */
  hysteresis: isAmount,
  cooldown: isAmount,
  repeat: isBoolean,
  reclaim: isBoolean,
  /** Absent for `count`. */
  swap: orAbsent(oneOf("count", "ignore")),
  grace_period: isAmount,
  kill_timeout: isAmount,
  dry_run: isBoolean,
});
export type RecordedPolicy = TypeOf<typeof isPolicy>;

/** The fields that each type of line must have. */
export const LINES = {
  /** The first line. */
  recording: {
    at: isTime,
    v: oneOf(RECORDING_VERSION),
    command: oneOf("watch", "guard", "simulate"),
    /** The version of oomkit, with its commit. */
    oomkit: isText,
    host: isText,
    kernel: isText,
    /** Of cgroups. */
    hierarchy: oneOf(1, 2),
    /** Guard only: one for each rule, and last the default policy. */
    policies: orNull(listOf(isPolicy)),
  },
  /** Written before the first snapshot of a cgroup, and again whenever one of its fields has changed. */
  cgroup: {
    at: isTime,
    /** The other lines refer to it; unique in the recording. */
    id: isCount,
    path: isText,
    /** The cgroup that its snapshots are of: the owner of the limit for a guard, itself for a watch. */
    usage_cgroup: isText,
    container_id: orNull(isText),
    pod_uid: orNull(isText),
    /** The effective limit. */
    limit: orNull(isCount),
    /** The cgroup that sets it. */
    limit_owner: orNull(isText),
    /** The horizontal lines of a chart: a guard's levels, or the thresholds of a watch. */
    reference_lines: listOf(shaped({ name: isText, bytes: isCount })),
    /** Guard only: the index of its policy, its mode, and `totalpages` of oom_badness in bytes. */
    policy: orNull(isCount),
    mode: orNull(isMode),
    oom_total_bytes: orNull(isCount),
  },
  /**
   * One read of one cgroup. A guard writes no line when nothing has changed, not even usage: an idle guard reads several times
   * a second.
   */
  snapshot: {
    at: isTime,
    id: isCount,
    usage: isCount,
    /** This and the next three: absent where it was not read this time. */
    inactive_file: orAbsent(isCount),
    /** Inactive and active file, and reclaimable slab. */
    reclaimable: orAbsent(isCount),
    /** Guard only, at a level that kills, like the next three: anonymous memory that swap has room for; absent for 0. */
    swappable: orAbsent(isCount),
    /** v1: kernel memory that may be reclaimable; absent for 0. */
    kernel_memory: orAbsent(isCount),
    /** Page cache that is dirty or being written back; absent for 0. */
    writeback: orAbsent(isCount),
    /** Bytes that were ever reclaimed in the cgroup. */
    reclaimed: orAbsent(isCount),
    /** PSI, percent of the last 10 s. */
    some: orAbsent(isAmount),
    full: orAbsent(isAmount),
    /** The kernel's own: the highest usage since the cgroup was created. Absent where the kernel keeps none. */
    peak: orAbsent(isCount),
    /** Read for the recording alone, several times a second; no decision is based on it. */
    sampled: orAbsent(oneOf(true)),
    /** Guard only: bytes a second at which usage and its unreclaimable part rise, as the decision had them. */
    rate: orAbsent(isFinite),
    /** At a level that kills: the highest rate of the last 250 ms. */
    peak_rate: orAbsent(isFinite),
    /** Mode `hold-near-limit`: the kernel's OOM killer is disabled. */
    oom_killer_disabled: orAbsent(oneOf(true)),
    unreclaimable_rate: orAbsent(isFinite),
    /** Guard only, at a level that kills: `alive` while one of the signalled victims is. */
    victim: orAbsent(oneOf("none", "alive", "dead")),
    decision: orAbsent(oneOf(...DECISIONS)),
    /** Guard only: the levels that it reported as reached. */
    levels: orAbsent(listOf(oneOf(...LEVELS), 3)),
  },
  /** An emitted event; a simulation also emits those of docs/schema/simulate.schema.json. */
  event: {
    at: isTime,
    /** The fields of every event: `ts` is RFC 3339, `cgroup` a path. */
    event: shaped({ type: isText, ts: isText, cgroup: isText }),
  },
  gone: { at: isTime, id: isCount },
  /** These policies replace those of the head. */
  policies: { at: isTime, policies: listOf(isPolicy) },
  /** Snapshots that were dropped because they came faster than they could be written. */
  lost: { at: isTime, snapshots: isCount },
  /** The last line; it is missing when the run was killed. `full` when `--record-max` was reached; the run continued. */
  end: { at: isTime, reason: oneOf("ended", "full") },
};

type LineOf<Type extends keyof typeof LINES> =
  & { readonly type: Type }
  & Checked<
    (typeof LINES)[Type]
  >;
export type RecordingHead = LineOf<"recording">;
export type RecordedCgroup = LineOf<"cgroup">;
export type ReferenceLine = RecordedCgroup["reference_lines"][number];
export type RecordedSnapshot = LineOf<"snapshot">;
export type RecordedEvent = LineOf<"event">;
export type AnyEvent = RecordedEvent["event"];
export type RecordingLine = { [Type in keyof typeof LINES]: LineOf<Type> }[keyof typeof LINES];

/** Takes lines as they come, to write them to a file or to draw a picture of the run. Must neither wait nor throw. */
export interface RecordSink {
  line(line: RecordingLine): void;
}

/** Passes each line to all of them. */
export function both(...sinks: readonly RecordSink[]): RecordSink {
  return { line: (line) => sinks.forEach((sink) => sink.line(line)) };
}

/** At the event's own time, microseconds included. */
export function eventLine(event: AnyEvent): RecordedEvent {
  return { type: "event", at: parseTimestamp(event.ts), event };
}

/** Milliseconds since the epoch of an RFC 3339 time in UTC, with any number of digits after the seconds. */
function parseTimestamp(ts: string): number {
  const fraction = /\.\d{3}(\d+)Z$/.exec(ts)?.[1];
  return Date.parse(ts) + (fraction === undefined ? 0 : Number(`0.${fraction}`));
}
