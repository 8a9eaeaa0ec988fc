/** Checks the lines of a recording. Loaded to read one only: valibot takes a few milliseconds (tests/cli/loading_test.ts). Pure. */

import * as v from "valibot";
import { LEVELS, MODES } from "../policy/levels.ts";
import { DECISIONS } from "./decisions.ts";
import { RECORDING_VERSION } from "./version.ts";

const finite = v.pipe(v.number(), v.finite());
const amount = v.pipe(finite, v.minValue(0));
/** Milliseconds since the epoch that a `Date` can hold. */
const time = v.pipe(amount, v.ltValue(8e15));
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const listOf = <Item extends v.GenericSchema>(item: Item) => v.pipe(v.array(item), v.readonly());

/** The policy of a guard, without the text of commands, which may hold secrets. Sizes are bytes, times milliseconds. */
const policy = v.object({
  /** The rule of the configuration; `null` for the default policy. */
  rule: v.nullable(v.string()),
  mode: v.picklist(["auto", ...MODES]),
  /** Percent of the limit. */
  warn: amount,
  critical: amount,
  /** An absent part is the default of the mode. */
  margin: v.object({
    ratio: v.exactOptional(amount),
    min: v.exactOptional(count),
    max: v.exactOptional(count),
  }),
  metric: v.picklist(["usage", "working-set"]),
  /** For each level its actions: `noop`, `signal:SIGUSR1`, `reclaim`, `process`, `container`, `exec`. */
  actions: v.object({
    warn: listOf(v.string()),
    critical: listOf(v.string()),
    imminent: listOf(v.string()),
  }),
  /** A fraction of the level's bytes. */
  hysteresis: amount,
  cooldown: amount,
  repeat: v.boolean(),
  reclaim: v.boolean(),
  /** Absent for `count`. */
  swap: v.exactOptional(v.picklist(["count", "ignore"])),
  grace_period: amount,
  kill_timeout: amount,
  dry_run: v.boolean(),
});

/** The fields that each type of line must have. */
export const LINES = {
  /** The first line. */
  recording: v.object({
    at: time,
    v: v.literal(RECORDING_VERSION),
    command: v.picklist(["watch", "guard", "simulate"]),
    /** The version of oomkit, with its commit. */
    oomkit: v.string(),
    host: v.string(),
    kernel: v.string(),
    /** Of cgroups. */
    hierarchy: v.picklist([1, 2]),
    /** Guard only: one for each rule, and last the default policy. */
    policies: v.nullable(listOf(policy)),
  }),
  /** Written before the first snapshot of a cgroup, and again whenever one of its fields has changed. */
  cgroup: v.object({
    at: time,
    /** The other lines refer to it; unique in the recording. */
    id: count,
    path: v.string(),
    /** The cgroup that its snapshots are of: the owner of the limit for a guard, itself for a watch. */
    usage_cgroup: v.string(),
    container_id: v.nullable(v.string()),
    pod_uid: v.nullable(v.string()),
    /** The effective limit. */
    limit: v.nullable(count),
    /** The cgroup that sets it. */
    limit_owner: v.nullable(v.string()),
    /** The horizontal lines of a chart: a guard's levels, or the thresholds of a watch. */
    reference_lines: listOf(v.object({ name: v.string(), bytes: count })),
    /** Guard only: the index of its policy, its mode, and `totalpages` of oom_badness in bytes. */
    policy: v.nullable(count),
    mode: v.nullable(v.picklist(MODES)),
    oom_total_bytes: v.nullable(count),
  }),
  /**
   * One read of one cgroup. A guard writes no line when nothing has changed, not even usage: an idle guard reads several times
   * a second.
   */
  snapshot: v.object({
    at: time,
    id: count,
    usage: count,
    /** This and the next three: absent where it was not read this time. */
    inactive_file: v.exactOptional(count),
    /** Inactive and active file, and reclaimable slab. */
    reclaimable: v.exactOptional(count),
    /** Guard only, at a level that kills, like the next three: anonymous memory that swap has room for; absent for 0. */
    swappable: v.exactOptional(count),
    /** v1: kernel memory that may be reclaimable; absent for 0. */
    kernel_memory: v.exactOptional(count),
    /** Page cache that is dirty or being written back; absent for 0. */
    writeback: v.exactOptional(count),
    /** Bytes that were ever reclaimed in the cgroup. */
    reclaimed: v.exactOptional(count),
    /** PSI, percent of the last 10 s. */
    some: v.exactOptional(amount),
    full: v.exactOptional(amount),
    /** The kernel's own: the highest usage since the cgroup was created. Absent where the kernel keeps none. */
    peak: v.exactOptional(count),
    /** Read for the recording alone, several times a second; no decision is based on it. */
    sampled: v.exactOptional(v.literal(true)),
    /** Guard only: bytes a second at which usage and its unreclaimable part rise, as the decision had them. */
    rate: v.exactOptional(finite),
    /** At a level that kills: the highest rate of the last 250 ms. */
    peak_rate: v.exactOptional(finite),
    /** Mode `hold-near-limit`: the kernel's OOM killer is disabled. */
    oom_killer_disabled: v.exactOptional(v.literal(true)),
    unreclaimable_rate: v.exactOptional(finite),
    /** Guard only, at a level that kills: `alive` while one of the signalled victims is. */
    victim: v.exactOptional(v.picklist(["none", "alive", "dead"])),
    decision: v.exactOptional(v.picklist(DECISIONS)),
    /** Guard only: the levels that it reported as reached. */
    levels: v.exactOptional(v.pipe(listOf(v.picklist(LEVELS)), v.maxLength(3))),
  }),
  /** An emitted event; a simulation also emits those of docs/schema/simulate.schema.json. */
  event: v.object({
    at: time,
    /** The fields of every event: `ts` is RFC 3339, `cgroup` a path. */
    event: v.object({ type: v.string(), ts: v.string(), cgroup: v.string() }),
  }),
  gone: v.object({ at: time, id: count }),
  /** These policies replace those of the head. */
  policies: v.object({ at: time, policies: listOf(policy) }),
  /** Snapshots that were dropped because they came faster than they could be written. */
  lost: v.object({ at: time, snapshots: count }),
  /** The last line; it is missing when the run was killed. `full` when `--record-max` was reached; the run continued. */
  end: v.object({ at: time, reason: v.picklist(["ended", "full"]) }),
};
