/** One line of a recording, believed only as far as it has been looked at. Pure. */

import { OomkitError } from "../errors.ts";
import { DECISIONS, RECORDING_VERSION, type RecordingLine } from "./format.ts";

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === "string";
const isBoolean: Check = (value) => typeof value === "boolean";
const isFinite: Check = (value) => Number.isFinite(value);
/** Milliseconds since the epoch that a `Date` can hold. */
const isTime: Check = (value) => isFinite(value) && value as number >= 0 && value as number < 8e15;
const isCount: Check = (value) => Number.isSafeInteger(value) && value as number >= 0;
const isPositive: Check = (value) => isFinite(value) && value as number >= 0;
const oneOf = (...choices: readonly unknown[]): Check => (value) => choices.includes(value);
const orNull = (check: Check): Check => (value) => value === null || check(value);
const orAbsent = (check: Check): Check => (value) => value === undefined || check(value);
const listOf = (check: Check, most = Infinity): Check => (value) =>
  Array.isArray(value) && value.length <= most && value.every(check);
const shaped = (fields: Readonly<Record<string, Check>>): Check => (value) =>
  isObject(value) && Object.entries(fields).every(([name, check]) => check(fieldOf(value, name)));

const isLevel = oneOf("warn", "critical", "imminent");
const isMode = oneOf("notify", "throttle", "hold");

const isPlan = shaped({
  rule: orNull(isText),
  mode: oneOf("auto", "notify", "throttle", "hold"),
  warn: isPositive,
  critical: isPositive,
  margin: shaped({
    ratio: orAbsent(isPositive),
    min: orAbsent(isCount),
    max: orAbsent(isCount),
  }),
  base: oneOf("usage", "working-set"),
  actions: shaped({ warn: listOf(isText), critical: listOf(isText), imminent: listOf(isText) }),
  hysteresis: isPositive,
  cooldown: isPositive,
  repeat: isBoolean,
  reclaim: isBoolean,
  grace_period: isPositive,
  kill_timeout: isPositive,
  dry_run: isBoolean,
});

/** What each type must have; a type that is not here is of a later version, and passed over. */
const types: Readonly<Record<RecordingLine["type"], Readonly<Record<string, Check>>>> = {
  recording: {
    at: isTime,
    command: oneOf("watch", "guard", "simulate"),
    oomkit: isText,
    host: isText,
    kernel: isText,
    hierarchy: oneOf(1, 2),
    policies: orNull(listOf(isPlan)),
  },
  cgroup: {
    at: isTime,
    id: isCount,
    path: isText,
    usage_cgroup: isText,
    container_id: orNull(isText),
    pod_uid: orNull(isText),
    limit: orNull(isCount),
    limit_owner: orNull(isText),
    reference_lines: listOf(shaped({ name: isText, bytes: isCount })),
    policy: orNull(isCount),
    mode: orNull(isMode),
    oom_total_bytes: orNull(isCount),
  },
  snapshot: {
    at: isTime,
    id: isCount,
    usage: isCount,
    inactive_file: orAbsent(isCount),
    reclaimable: orAbsent(isCount),
    some: orAbsent(isPositive),
    full: orAbsent(isPositive),
    sampled: orAbsent(oneOf(true)),
    rate: orAbsent(isFinite),
    unreclaimable_rate: orAbsent(isFinite),
    victim: orAbsent(oneOf("none", "alive", "dead")),
    decision: orAbsent(oneOf(...DECISIONS)),
    levels: orAbsent(listOf(isLevel, 3)),
  },
  event: { at: isTime, event: shaped({ type: isText, ts: isText, cgroup: isText }) },
  gone: { at: isTime, id: isCount },
  policies: { at: isTime, policies: listOf(isPlan) },
  lost: { at: isTime, snapshots: isCount },
  end: { at: isTime, why: oneOf("ended", "full") },
};

/** It is no JSON, as the last line is of a run that was killed while it wrote. */
export class TornLine extends OomkitError {}

/**
 * `undefined` for a type of line that this version does not know.
 *
 * @param where such as `run.jsonl, line 3`.
 * Throws {@link TornLine} for what is no JSON, and {@link OomkitError} for what is no line of a recording.
 */
export function checkLine(text: string, where: string): RecordingLine | undefined {
  const value = parse(text, where);
  const type = isObject(value) ? fieldOf(value, "type") : undefined;
  if (!isObject(value) || typeof type !== "string") {
    throw new OomkitError(`cannot read ${where}: it is no line of a recording`, HINT);
  }
  if (!Object.hasOwn(types, type)) return undefined;
  if (type === "recording") checkVersion(value, where);
  for (const [name, check] of Object.entries(types[type as RecordingLine["type"]])) {
    if (check(fieldOf(value, name))) continue;
    throw new OomkitError(
      `cannot read ${where}: "${name}" of its ${type} is not as it should be`,
      HINT,
    );
  }
  return value as unknown as RecordingLine;
}

const HINT = "give a file that was written by --record";

function checkVersion(value: object, where: string): void {
  const version = fieldOf(value, "v");
  if (version === RECORDING_VERSION) return;
  throw isCount(version) && version as number > RECORDING_VERSION
    ? new OomkitError(
      `cannot read ${where}: it is a recording of version ${version}, and this oomkit knows ${RECORDING_VERSION}`,
      "use the oomkit that wrote it, or a later one",
    )
    : new OomkitError(`cannot read ${where}: "v" of its recording is not as it should be`, HINT);
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Whatever the parser says repeats what stands there, which may be anything.
    throw new TornLine(`cannot read ${where}: it is no JSON`, HINT);
  }
}

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Of its own: what `Object.prototype` has is nobody's. */
const fieldOf = (value: object, name: string): unknown =>
  Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
