/** A recording through the decisions of a guard, in virtual time: the same lines and policies give the same result. Pure. */

import { versionOf } from "../cgroup/versions.ts";
import { type LevelBytes, levelBytesIn, LEVELS } from "../policy/levels.ts";
import type {
  RecordedCgroup,
  RecordedPolicy,
  RecordedSnapshot,
  RecordingHead,
  RecordingLine,
} from "../record/format.ts";
import { type GuardPolicy, type Mode, policyFor, type PolicySet, requestedMode } from "./policy.ts";
import { policyOfRecord } from "./record.ts";
import {
  type Act,
  recordedDecisions,
  type ReplayedDecision,
  ReplayedState,
  type ReplaySettings,
} from "./replay_cgroup.ts";

export interface TimedDecision extends ReplayedDecision {
  /** The limit at that time in bytes; `null` for none. */
  readonly limit: number | null;
}

export interface ReplayedCgroup {
  readonly path: string;
  /** The last limit in bytes; `null` for none. */
  readonly limit: number | null;
  readonly samples: number;
  readonly replayed: readonly TimedDecision[];
  /** What the recording says was done; `undefined` if it is not of a guard. */
  readonly recorded: readonly TimedDecision[] | undefined;
  /** Why it is not guarded under these policies. */
  readonly notGuarded: string | undefined;
  readonly assumedReads: number;
  /** If the recording was made under another mode, which affects usage. */
  readonly mode: { readonly recorded: Mode; readonly replayed: Mode } | undefined;
  /** The policies that it is replayed under, where the recording has the one that it was guarded by. */
  readonly policies: readonly { readonly recorded: GuardPolicy; readonly replayed: GuardPolicy }[];
}

/** A kill or an OOM, as an event of the recording has it. */
export interface RecordedKill {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly cgroup: string;
  readonly what: "oom_kill" | "oom" | "killed";
  readonly victim: string | undefined;
}

export interface Replayed {
  readonly head: RecordingHead;
  readonly from: number;
  readonly to: number;
  readonly ending: "ended" | "full" | "cut_off";
  /** Snapshots that the recording lost. */
  readonly lost: number;
  readonly cgroups: readonly ReplayedCgroup[];
  readonly kills: readonly RecordedKill[];
}

export interface ReplayOptions {
  /** Replaces the recorded policies. */
  readonly other: PolicySet | undefined;
  /** Changes a recorded policy. */
  override(policy: GuardPolicy): GuardPolicy;
}

/** @param lines of a recording, the head first. */
export async function replay(
  lines: AsyncIterable<RecordingLine>,
  options: ReplayOptions,
): Promise<Replayed> {
  const replay = new Replay(options);
  for await (const line of inTimeOrder(lines)) replay.take(line);
  return replay.result();
}

interface CgroupReplay {
  readonly path: string;
  limit: number | null;
  samples: number;
  /** The decision at the previous snapshot. */
  before: string | undefined;
  state: ReplayedState | undefined;
  notGuarded: string | undefined;
  mode: ReplayedCgroup["mode"];
  readonly replayed: TimedDecision[];
  readonly recorded: TimedDecision[];
  /** From the replayed to the recorded one. */
  readonly policies: Map<GuardPolicy, GuardPolicy>;
}

interface PolicyPair {
  readonly key: string;
  readonly recorded: GuardPolicy;
  readonly policy: GuardPolicy;
}

class Replay {
  readonly #options: ReplayOptions;
  readonly #cgroups = new Map<number, CgroupReplay>();
  readonly #kills: RecordedKill[] = [];
  #policies: readonly PolicyPair[] = [];
  #head!: RecordingHead;
  #from = Infinity;
  #to = -Infinity;
  #ending: Replayed["ending"] = "cut_off";
  #lost = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  take(line: RecordingLine): void {
    this.#from = Math.min(this.#from, line.at);
    this.#to = Math.max(this.#to, line.at);
    switch (line.type) {
      case "recording":
        this.#head = line;
        return this.#reload(line.policies);
      case "policies":
        return this.#reload(line.policies);
      case "cgroup":
        return this.#describe(line);
      case "snapshot":
        return this.#step(line);
      case "event":
        return void this.#kills.push(...killsIn(line.at, line.event));
      case "lost":
        this.#lost += line.snapshots;
        return;
      case "end":
        this.#ending = line.reason;
    }
  }

  result(): Replayed {
    const cgroups = [...this.#cgroups.values()].map((each): ReplayedCgroup => ({
      path: each.path,
      limit: each.limit,
      samples: each.samples,
      replayed: each.replayed,
      recorded: this.#ofGuard ? each.recorded : undefined,
      notGuarded: each.notGuarded,
      assumedReads: each.state?.assumedReads ?? 0,
      mode: each.mode,
      policies: [...each.policies].map(([replayed, recorded]) => ({ recorded, replayed })),
    }));
    return {
      head: this.#head,
      from: this.#from,
      to: this.#to,
      ending: this.#ending,
      lost: this.#lost,
      cgroups,
      kills: this.#kills,
    };
  }

  get #ofGuard(): boolean {
    return this.#head.command === "guard";
  }

  #reload(recorded: readonly RecordedPolicy[] | null): void {
    // An unchanged policy keeps its identity, as in the guard, so that a kill cycle under it continues.
    const known = new Map(this.#policies.map((policy) => [policy.key, policy]));
    this.#policies = (recorded ?? []).map((policy) => {
      const key = JSON.stringify(policy);
      return known.get(key) ?? {
        key,
        recorded: policyOfRecord(policy),
        policy: this.#options.override(policyOfRecord(policy)),
      };
    });
  }

  #describe(line: RecordedCgroup): void {
    const each: CgroupReplay = this.#cgroups.get(line.id) ?? {
      path: line.path,
      limit: line.limit,
      samples: 0,
      before: undefined,
      state: undefined,
      notGuarded: undefined,
      mode: undefined,
      replayed: [],
      recorded: [],
      policies: new Map(),
    };
    this.#cgroups.set(line.id, each);
    each.limit = line.limit;
    const settings = settingsOf(line, this.#head, this.#policies, this.#options.other);
    each.notGuarded = typeof settings === "string" ? settings : undefined;
    if (typeof settings === "string") return void (each.state = undefined);
    const recorded = this.#policies[line.policy ?? -1]?.recorded;
    if (recorded) each.policies.set(settings.policy, recorded);
    if (each.state) each.state.updateSettings(settings);
    else each.state = new ReplayedState(settings, this.#ofGuard);
    each.mode = line.mode !== null && line.mode !== settings.mode
      ? { recorded: line.mode, replayed: settings.mode }
      : undefined;
  }

  #step(line: RecordedSnapshot): void {
    const each = this.#cgroups.get(line.id)!;
    const timed = (decision: ReplayedDecision): TimedDecision => ({
      ...decision,
      limit: each.limit,
    });
    if (!line.sampled || !this.#ofGuard) each.samples++;
    if (this.#ofGuard && !line.sampled) {
      each.recorded.push(...recordedDecisions(line, each.before).map(timed));
      each.before = line.decision;
    }
    each.replayed.push(...(each.state?.step(line) ?? []).map(timed));
  }
}

/**
 * The samples of a guard are in order. Those of a watch and of its allocators arrive late: they are sorted by time, each cgroup
 * before its samples.
 */
async function* inTimeOrder(lines: AsyncIterable<RecordingLine>): AsyncGenerator<RecordingLine> {
  const known = new Set<number>();
  const waiting: { readonly line: RecordingLine; readonly at: number }[] = [];
  let isOrdered = false;
  for await (const line of lines) {
    if (line.type === "recording") isOrdered = line.command === "guard";
    const isFirst = line.type === "recording" || (line.type === "cgroup" && !known.has(line.id));
    if (line.type === "cgroup") known.add(line.id);
    if (isOrdered) yield line;
    else waiting.push({ line, at: isFirst ? -Infinity : line.at });
  }
  // Stable; the difference of two infinities would be NaN.
  waiting.sort((a, b) => a.at === b.at ? 0 : a.at - b.at);
  for (const { line } of waiting) yield line;
}

/** How a cgroup is guarded in the replay, or why it is not. */
function settingsOf(
  line: RecordedCgroup,
  head: RecordingHead,
  recorded: readonly PolicyPair[],
  other: PolicySet | undefined,
): ReplaySettings | string {
  const { limit, path } = line;
  if (limit === null) return "no limit";
  if (line.usage_cgroup !== path && head.command !== "guard") {
    return "the recorded usage is that of another cgroup";
  }
  if (head.command !== "guard" && line.limit_owner !== path) {
    return "the limit is that of a parent, and the recording does not have its usage";
  }
  const own = recorded[line.policy ?? -1];
  if (own && !other) {
    const { policy } = own;
    const mode = modeUnder(own, line, head);
    const isSame = JSON.stringify([policy.levels, mode]) ===
      JSON.stringify([own.recorded.levels, line.mode]);
    const levelBytes = isSame ? recordedLevelBytes(line) : levelBytesIn(policy, limit, mode);
    return levelBytes ? { policy, levelBytes, limit, mode } : NOTHING_LEFT;
  }
  const number = other && policyFor(other, path);
  const policy = number === undefined ? undefined : other?.all[number];
  if (policy === undefined) return "exempted by a rule";
  const mode = modeOf(policy, head);
  const levelBytes = levelBytesIn(policy, limit, mode);
  return levelBytes ? { policy, levelBytes, limit, mode } : NOTHING_LEFT;
}

const NOTHING_LEFT = "the margin leaves nothing of the limit";

/** The recorded mode, which may be a fallback, unless another one is requested now. */
function modeUnder(
  { recorded, policy }: PolicyPair,
  { mode }: RecordedCgroup,
  head: RecordingHead,
): Mode {
  const before = modeOf(recorded, head);
  const after = modeOf(policy, head);
  return before === after && mode !== null ? mode : after;
}

const modeOf = (policy: GuardPolicy, { hierarchy }: RecordingHead): Mode =>
  requestedMode(policy, versionOf(hierarchy).canThrottle);

function recordedLevelBytes({ reference_lines: lines }: RecordedCgroup): LevelBytes | undefined {
  const [warn, critical, imminent] = LEVELS.map((level) =>
    lines.find(({ name }) => name === level)?.bytes
  );
  return warn === undefined || critical === undefined || imminent === undefined
    ? undefined
    : { warn, critical, imminent };
}

/** By the kernel, a guard or anything else. The event is text from outside: its fields are not trusted. */
function killsIn(at: number, event: object): RecordedKill[] {
  const { type, cgroup, victim, outcome } = event as Record<string, unknown>;
  if (typeof cgroup !== "string") return [];
  const name = nameOf(victim);
  if (type === "oom_kill" || type === "oom") return [{ at, cgroup, what: type, victim: name }];
  return type === "action" && outcome === "killed"
    ? [{ at, cgroup, what: "killed", victim: name }]
    : [];
}

function nameOf(victim: unknown): string | undefined {
  if (typeof victim !== "object" || victim === null) return undefined;
  const { pid, comm } = victim as Record<string, unknown>;
  return typeof comm === "string" && typeof pid === "number" ? `${comm} (${pid})` : undefined;
}

/** A decision in the replay, in the recording, or in both. Times are milliseconds since the epoch. */
export interface Row {
  readonly cgroup: string;
  readonly act: Act;
  /** Bytes, as replayed; as recorded if it is not replayed. */
  readonly usage: number;
  /** At that time. */
  readonly limit: number | null;
  readonly replayed: number | undefined;
  readonly recorded: number | undefined;
}

/** Two decisions of the same kind no further apart than this are one decision at another time (milliseconds). */
const MAX_MS_APART = 60_000;

/** Sorted by time, and by cgroup within the same moment. */
export function rowsOf({ cgroups }: Pick<Replayed, "cgroups">): Row[] {
  const rows = cgroups.flatMap(({ path, replayed, recorded = [] }) =>
    pairs(replayed, recorded).map(([now, then]): Row => ({
      cgroup: path,
      act: (now ?? then)!.act,
      usage: (now ?? then)!.usage,
      limit: (now ?? then)!.limit,
      replayed: now?.at,
      recorded: then?.at,
    }))
  );
  return rows.sort((a, b) => timeOf(a) - timeOf(b));
}

export const timeOf = ({ replayed, recorded }: Pick<Row, "replayed" | "recorded">): number =>
  Math.min(replayed ?? Infinity, recorded ?? Infinity);

type Pair = readonly [TimedDecision | undefined, TimedDecision | undefined];

function pairs(replayed: readonly TimedDecision[], recorded: readonly TimedDecision[]): Pair[] {
  const acts = new Set([...replayed, ...recorded].map(({ act }) => act));
  return [...acts].flatMap((act) => {
    const of = (decisions: readonly TimedDecision[]) =>
      decisions.filter((decision) => decision.act === act);
    return pairsOfOne(of(replayed), of(recorded));
  });
}

/** First those at the same sample; the rest with the nearest, unless another pair lies between. */
function pairsOfOne(
  replayed: readonly TimedDecision[],
  recorded: readonly TimedDecision[],
): Pair[] {
  const then = new Map(recorded.map((decision) => [decision.at, decision]));
  const same = replayed.filter(({ at }) => then.has(at));
  const times = new Set(same.map(({ at }) => at));
  const found: Pair[] = same.map((decision) => [decision, then.get(decision.at)]);
  const rest = recorded.filter(({ at }) => !times.has(at));
  for (const decision of replayed) {
    if (times.has(decision.at)) continue;
    const first = rest.findIndex(({ at }) => Math.abs(at - decision.at) <= MAX_MS_APART);
    const other = rest[first];
    const isParted = other !== undefined &&
      same.some(({ at }) => liesBetween(at, decision.at, other.at));
    if (other === undefined || isParted) found.push([decision, undefined]);
    else {
      found.push([decision, other]);
      rest.splice(first, 1);
    }
  }
  for (const decision of rest) found.push([undefined, decision]);
  return found;
}

const liesBetween = (at: number, one: number, other: number) =>
  at > Math.min(one, other) && at < Math.max(one, other);
