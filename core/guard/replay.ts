/** A recording through a guard's decision, in virtual time: the same lines and plans lead to the same result. Pure. */

import { type LevelBytes, LEVELS } from "../policy/levels.ts";
import type {
  RecordedCgroup,
  RecordedPolicy,
  RecordingHead,
  RecordingLine,
} from "../record/format.ts";
import { levelBytesIn } from "./levels.ts";
import { type GuardPolicy, killLevel, type Mode, policyFor, type PolicySet } from "./policy.ts";
import { policyOfRecord } from "./record.ts";
import {
  type Act,
  createReplayedState,
  recordedDecisions,
  type ReplayedDecision,
  type ReplayedState,
  type ReplaySettings,
} from "./replay_cgroup.ts";

/** A deed, and the limit that held then: bytes; `null` for none. */
export interface TimedDecision extends ReplayedDecision {
  readonly limit: number | null;
}

export interface ReplayedCgroup {
  readonly path: string;
  /** The last one, bytes; `null` for none. */
  readonly limit: number | null;
  readonly samples: number;
  readonly replayed: readonly TimedDecision[];
  /** What the recording says was done; `undefined` where it is none of a guard. */
  readonly recorded: readonly TimedDecision[] | undefined;
  /** Why it is not guarded under these plans. */
  readonly left: string | undefined;
  readonly assumedReads: number;
  /** The recording was made under another mode, which changes how usage goes. */
  readonly mode: { readonly recorded: Mode; readonly replayed: Mode } | undefined;
  /** What it was guarded by, and is now, where the recording has the former. */
  readonly policies: readonly { readonly recorded: GuardPolicy; readonly replayed: GuardPolicy }[];
}

/** What the recording tells besides. */
export interface Told {
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
  readonly lost: number;
  readonly cgroups: readonly ReplayedCgroup[];
  readonly told: readonly Told[];
}

/**
 * @param other the plans to use instead of what is recorded; `undefined` for those.
 * @param bend what is changed of a recorded plan.
 */
export interface ReplayOptions {
  readonly other: PolicySet | undefined;
  override(policy: GuardPolicy): GuardPolicy;
}

interface Followed {
  path: string;
  limit: number | null;
  samples: number;
  before: string | undefined;
  state: ReplayedState | undefined;
  left: string | undefined;
  mode: ReplayedCgroup["mode"];
  readonly replayed: TimedDecision[];
  readonly recorded: TimedDecision[];
  /** From now to then. */
  readonly policies: Map<GuardPolicy, GuardPolicy>;
}

/** @param lines of a recording, the head first. */
export async function replay(
  lines: AsyncIterable<RecordingLine>,
  options: ReplayOptions,
): Promise<Replayed> {
  const followed = new Map<number, Followed>();
  const told: Told[] = [];
  let head: RecordingHead | undefined;
  let policies: Plan[] = [];
  let from = Infinity;
  let to = -Infinity;
  let ending: Replayed["ending"] = "cut_off";
  let lost = 0;
  const guards = () => head?.command === "guard";

  const reload = (recorded: readonly RecordedPolicy[] | null) => {
    // Those that ask for the same are the same, as in the guard: what is under way goes on.
    const known = new Map(policies.map((policy) => [policy.key, policy]));
    policies = (recorded ?? []).map((policy) => {
      const key = JSON.stringify(policy);
      return known.get(key) ??
        { key, recorded: policyOfRecord(policy), policy: options.override(policyOfRecord(policy)) };
    });
  };

  const describe = (line: RecordedCgroup) => {
    const each: Followed = followed.get(line.id) ?? {
      path: line.path,
      limit: line.limit,
      samples: 0,
      before: undefined,
      state: undefined,
      left: undefined,
      mode: undefined,
      replayed: [],
      recorded: [],
      policies: new Map(),
    };
    followed.set(line.id, each);
    each.limit = line.limit;
    const settings = termsOf(line, head!, policies, options.other);
    each.left = typeof settings === "string" ? settings : undefined;
    if (typeof settings === "string") return void (each.state = undefined);
    const before = policies[line.policy ?? -1]?.recorded;
    if (before) each.policies.set(settings.policy, before);
    if (each.state) each.state.updateSettings(settings);
    else each.state = createReplayedState(settings, guards());
    each.mode = line.mode !== null && line.mode !== settings.mode
      ? { recorded: line.mode, replayed: settings.mode }
      : undefined;
  };

  for await (const line of inTime(lines)) {
    from = Math.min(from, line.at);
    to = Math.max(to, line.at);
    switch (line.type) {
      case "recording":
        head = line;
        reload(line.policies);
        break;
      case "policies":
        reload(line.policies);
        break;
      case "cgroup":
        describe(line);
        break;
      case "snapshot": {
        const each = followed.get(line.id)!;
        const limited = (killAction: ReplayedDecision): TimedDecision => ({
          ...killAction,
          limit: each.limit,
        });
        if (!line.sampled || !guards()) each.samples++;
        if (guards() && !line.sampled) {
          each.recorded.push(...recordedDecisions(line, each.before).map(limited));
          each.before = line.decision;
        }
        each.replayed.push(...(each.state?.look(line) ?? []).map(limited));
        break;
      }
      case "event":
        told.push(...toldIn(line.at, line.event));
        break;
      case "lost":
        lost += line.snapshots;
        break;
      case "end":
        ending = line.reason;
    }
  }
  const cgroups = [...followed.values()].map((each): ReplayedCgroup => ({
    path: each.path,
    limit: each.limit,
    samples: each.samples,
    replayed: each.replayed,
    recorded: guards() ? each.recorded : undefined,
    left: each.left,
    assumedReads: each.state?.assumedReads ?? 0,
    mode: each.mode,
    policies: [...each.policies].map(([replayed, recorded]) => ({ recorded, replayed })),
  }));
  return { head: head!, from, to, ending, lost, cgroups, told };
}

/**
 * A sentry's looks are in order. A watch and the allocators beside it tell of theirs when they come to it: they are put in the
 * order of time, each cgroup ahead of what was seen of it.
 */
async function* inTime(lines: AsyncIterable<RecordingLine>): AsyncGenerator<RecordingLine> {
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
  // Of the same moment what was told first stays first; two infinities have no difference.
  waiting.sort((a, b) => a.at === b.at ? 0 : a.at - b.at);
  for (const { line } of waiting) yield line;
}

interface Plan {
  readonly key: string;
  readonly recorded: GuardPolicy;
  readonly policy: GuardPolicy;
}

/** How it is guarded in the replay, or why it is not. */
function termsOf(
  line: RecordedCgroup,
  head: RecordingHead,
  recorded: readonly Plan[],
  other: PolicySet | undefined,
): ReplaySettings | string {
  const { limit, path } = line;
  if (limit === null) return "it has no limit";
  if (line.usage_cgroup !== path && head.command !== "guard") {
    return "it is not itself what was read";
  }
  if (head.command !== "guard" && line.limit_owner !== path) {
    return "its limit is another's, whose usage is not in the recording";
  }
  const own = recorded[line.policy ?? -1];
  if (own && !other) {
    const { policy } = own;
    const mode = modeUnder(own, line, head);
    const isSame = JSON.stringify([policy.levels, mode]) ===
      JSON.stringify([own.recorded.levels, line.mode]);
    const levelBytes = isSame ? marked(line) : levelBytesIn(policy, limit, mode);
    return levelBytes ? { policy, levelBytes, limit, mode } : NOTHING_LEFT;
  }
  const number = other && policyFor(other, path);
  const policy = number === undefined ? undefined : other?.all[number];
  if (policy === undefined) return "a rule exempts it";
  const mode = modeOf(policy, head);
  const levelBytes = levelBytesIn(policy, limit, mode);
  return levelBytes ? { policy, levelBytes, limit, mode } : NOTHING_LEFT;
}

const NOTHING_LEFT = "the margin leaves nothing of its limit";

/** What was had there, unless what is asked for is another now. */
function modeUnder(
  { recorded, policy }: Plan,
  { mode }: RecordedCgroup,
  head: RecordingHead,
): Mode {
  const before = modeOf(recorded, head);
  const after = modeOf(policy, head);
  return before === after && mode !== null ? mode : after;
}

/** As `core/guard/modes.ts` has it. */
function modeOf(policy: GuardPolicy, { hierarchy }: RecordingHead): Mode {
  if (policy.dryRun) return "notify";
  if (policy.mode !== "auto") return policy.mode;
  const kills = killLevel(policy.actions) !== undefined;
  return hierarchy === 2 && kills && !policy.softLimit ? "throttle" : "notify";
}

/** The levels as the guard had them. */
function marked({ reference_lines: marks }: RecordedCgroup): LevelBytes | undefined {
  const found = LEVELS.map((level) => marks.find(({ name }) => name === level)?.bytes);
  const [warn, critical, imminent] = found;
  return warn === undefined || critical === undefined || imminent === undefined
    ? undefined
    : { warn, critical, imminent };
}

/** Kills, whoever did it; of what a recording holds nothing is believed but what it says it is. */
function toldIn(at: number, event: object): Told[] {
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

/* What a guard would do, beside what the recording says was done. Pure. */

/** Times are milliseconds since the epoch. */
export interface Row {
  readonly cgroup: string;
  readonly act: Act;
  /** Bytes, as it is done now; where it is not, as it was done then. */
  readonly usage: number;
  /** The one that held then. */
  readonly limit: number | null;
  readonly replayed: number | undefined;
  readonly recorded: number | undefined;
}

/** Of the same kind, and no further apart, two are the same one at another time (milliseconds). */
const APART_MS = 60_000;

/** In the order of time; of the same moment in that of the recording. */
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

/** The same at the same look first; of what is left what is nearest, unless another of its kind lies between. */
function pairs(replayed: readonly TimedDecision[], recorded: readonly TimedDecision[]): Pair[] {
  const acts = new Set([...replayed, ...recorded].map(({ act }) => act));
  return [...acts].flatMap((act) => {
    const of = (deeds: readonly TimedDecision[]) =>
      deeds.filter((killAction) => killAction.act === act);
    return pairsOfOne(of(replayed), of(recorded));
  });
}

function pairsOfOne(
  replayed: readonly TimedDecision[],
  recorded: readonly TimedDecision[],
): Pair[] {
  const then = new Map(recorded.map((killAction) => [killAction.at, killAction]));
  const same = replayed.filter(({ at }) => then.has(at));
  const times = new Set(same.map(({ at }) => at));
  const found: Pair[] = same.map((killAction) => [killAction, then.get(killAction.at)]);
  const rest = recorded.filter(({ at }) => !times.has(at));
  for (const killAction of replayed) {
    if (times.has(killAction.at)) continue;
    const first = rest.findIndex(({ at }) => Math.abs(at - killAction.at) <= APART_MS);
    const other = rest[first];
    const isParted = other !== undefined &&
      same.some(({ at }) => liesBetween(at, killAction.at, other.at));
    if (other === undefined || isParted) found.push([killAction, undefined]);
    else {
      found.push([killAction, other]);
      rest.splice(first, 1);
    }
  }
  for (const killAction of rest) found.push([undefined, killAction]);
  return found;
}

const liesBetween = (at: number, one: number, other: number) =>
  at > Math.min(one, other) && at < Math.max(one, other);
