/** A recording through the decisions of a guard, in virtual time: the same lines and policies give the same result. Pure. */

import { versionOf } from "../cgroup/versions.ts";
import { type LevelBytes, levelBytesIn, LEVELS, type Mode } from "../policy/levels.ts";
import type {
  RecordedCgroup,
  RecordedPolicy,
  RecordedSnapshot,
  RecordingHead,
  RecordingLine,
} from "../record/format.ts";
import { type GuardPolicy, policyFor, type PolicySet, requestedMode } from "./policy.ts";
import { policyOfRecord } from "./record.ts";
import {
  type Decision,
  recordedDecisions,
  ReplayedState,
  type ReplaySettings,
} from "./replay_cgroup.ts";

export interface ReplayedDecision {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly kind: Decision;
  /** Bytes. */
  readonly usage: number;
  /** The limit at that time in bytes; `null` for none. */
  readonly limit: number | null;
}

/** A kill or an OOM, as an event of the recording has it. */
export interface RecordedKill {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly cgroup: string;
  readonly what: "oom_kill" | "oom" | "killed";
  readonly victim: string | undefined;
}

export interface ReplayOptions {
  readonly other: PolicySet | undefined;
  override(policy: GuardPolicy): GuardPolicy;
}

/** @param lines of a recording, the head first. */
export async function replay(
  lines: AsyncIterable<RecordingLine>,
  options: ReplayOptions,
): Promise<Replayed> {
  const replayed = new Replayed(options);
  for await (const line of inTimeOrder(lines)) replayed.take(line);
  return replayed;
}

interface PolicyPair {
  readonly key: string;
  readonly recorded: GuardPolicy;
  readonly policy: GuardPolicy;
}

export class Replayed {
  head!: RecordingHead;
  from = Infinity;
  to = -Infinity;
  ending: "ended" | "full" | "cut_off" = "cut_off";
  lost = 0;
  readonly cgroups: ReplayedCgroup[] = [];
  readonly kills: RecordedKill[] = [];
  readonly #options: ReplayOptions;
  readonly #byId = new Map<number, ReplayedCgroup>();
  #policies: readonly PolicyPair[] = [];

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  take(line: RecordingLine): void {
    this.from = Math.min(this.from, line.at);
    this.to = Math.max(this.to, line.at);
    switch (line.type) {
      case "recording":
        this.head = line;
        return this.#reload(line.policies);
      case "policies":
        return this.#reload(line.policies);
      case "cgroup":
        return this.#describe(line);
      case "snapshot":
        return this.#byId.get(line.id)!.step(line);
      case "event":
        return void this.kills.push(...killsIn(line.at, line.event));
      case "lost":
        this.lost += line.snapshots;
        return;
      case "end":
        this.ending = line.reason;
    }
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
    let cgroup = this.#byId.get(line.id);
    if (cgroup === undefined) {
      cgroup = new ReplayedCgroup(line.path, this.head.command === "guard");
      this.#byId.set(line.id, cgroup);
      this.cgroups.push(cgroup);
    }
    const recorded = this.#policies[line.policy ?? -1]?.recorded;
    cgroup.update(line, this.#settingsOf(line), recorded);
  }

  /** How a cgroup is guarded in the replay, or why it is not. */
  #settingsOf(line: RecordedCgroup): ReplaySettings | string {
    const { limit, path } = line;
    const isOfGuard = this.head.command === "guard";
    if (limit === null) return "no limit";
    if (line.usage_cgroup !== path && !isOfGuard) {
      return "the recorded usage is that of another cgroup";
    }
    if (line.limit_owner !== path && !isOfGuard) {
      return "the limit is that of a parent, and the recording does not have its usage";
    }
    const { other } = this.#options;
    const own = other ? undefined : this.#policies[line.policy ?? -1];
    const number = other && policyFor(other, path);
    const policy = own?.policy ?? other?.all[number ?? -1];
    if (policy === undefined) return "exempted by a rule";
    const version = versionOf(this.head.hierarchy);
    const requested = requestedMode(policy, version);
    // The recorded mode, which may be a fallback, unless another one is requested now.
    const isModeKept = own && requested === requestedMode(own.recorded, version);
    const mode = isModeKept ? line.mode ?? requested : requested;
    const isSame = own && JSON.stringify([policy.levels, mode]) ===
        JSON.stringify([own.recorded.levels, line.mode]);
    const levelBytes = isSame ? recordedLevelBytes(line) : levelBytesIn(policy, limit, mode);
    if (levelBytes === undefined) return "the margin leaves nothing of the limit";
    const { protectsPageCache } = version;
    return { policy, levelBytes, limit, mode, protectsPageCache };
  }
}

export class ReplayedCgroup {
  /** The last limit in bytes; `null` for none. */
  limit: number | null = null;
  samples = 0;
  readonly replayed: ReplayedDecision[] = [];
  /** What the recording says was done; `undefined` if it is not of a guard. */
  readonly recorded: ReplayedDecision[] | undefined;
  /** Why it is not guarded under these policies. */
  notGuarded: string | undefined;
  /** If the recording was made under another mode, which affects usage. */
  mode: { readonly recorded: Mode; readonly replayed: Mode } | undefined;
  /** The policies that it is replayed under, each with the one that it was guarded by, where the recording has that. */
  readonly policies = new Map<GuardPolicy, GuardPolicy>();
  state: ReplayedState | undefined;
  /** The decision at the previous snapshot. */
  #before: string | undefined;

  constructor(readonly path: string, isOfGuard: boolean) {
    this.recorded = isOfGuard ? [] : undefined;
  }

  get assumedReads(): number {
    return this.state?.assumedReads ?? 0;
  }

  /** @param settings or why it is not guarded. */
  update(
    { limit, mode }: RecordedCgroup,
    settings: ReplaySettings | string,
    recorded: GuardPolicy | undefined,
  ): void {
    this.limit = limit;
    this.notGuarded = undefined;
    if (typeof settings === "string") {
      this.notGuarded = settings;
      this.state = undefined;
      return;
    }
    if (recorded) this.policies.set(settings.policy, recorded);
    if (this.state) this.state.updateSettings(settings);
    else this.state = new ReplayedState(settings, this.recorded !== undefined);
    this.mode = mode !== null && mode !== settings.mode
      ? { recorded: mode, replayed: settings.mode }
      : undefined;
  }

  step(line: RecordedSnapshot): void {
    const { at, usage } = line;
    const decided = (kind: Decision): ReplayedDecision => ({ at, kind, usage, limit: this.limit });
    if (!line.sampled || !this.recorded) this.samples++;
    if (this.recorded && !line.sampled) {
      this.recorded.push(...recordedDecisions(line, this.#before).map(decided));
      this.#before = line.decision;
    }
    this.replayed.push(...(this.state?.step(line) ?? []).map(decided));
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

/** A decision in the replay, in the recording, or in both: as replayed, or as recorded if it is not replayed. */
export interface Row extends Omit<ReplayedDecision, "at"> {
  readonly cgroup: string;
  /** Milliseconds since the epoch. */
  readonly replayed: number | undefined;
  readonly recorded: number | undefined;
}

/** Two decisions of the same kind no further apart than this are one decision at another time (milliseconds). */
const MAX_MS_APART = 60_000;

/** Sorted by time, and by cgroup within the same moment. */
export function rowsOf({ cgroups }: Pick<Replayed, "cgroups">): Row[] {
  const rows = cgroups.flatMap(({ path: cgroup, replayed, recorded = [] }) =>
    pairs(replayed, recorded).map(([now, then]): Row => {
      const { at: _, ...decision } = (now ?? then)!;
      return { cgroup, ...decision, replayed: now?.at, recorded: then?.at };
    })
  );
  const timeOf = ({ replayed = Infinity, recorded = Infinity }: Row) =>
    Math.min(replayed, recorded);
  return rows.sort((a, b) => timeOf(a) - timeOf(b));
}

type Pair = readonly [ReplayedDecision | undefined, ReplayedDecision | undefined];

function pairs(
  replayed: readonly ReplayedDecision[],
  recorded: readonly ReplayedDecision[],
): Pair[] {
  const kinds = new Set([...replayed, ...recorded].map(({ kind }) => kind));
  return [...kinds].flatMap((kind) => {
    const of = (decisions: readonly ReplayedDecision[]) =>
      decisions.filter((decision) => decision.kind === kind);
    return pairsOfOne(of(replayed), of(recorded));
  });
}

/** First those at the same sample; the rest with the nearest, unless another pair lies between. */
function pairsOfOne(
  replayed: readonly ReplayedDecision[],
  recorded: readonly ReplayedDecision[],
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
