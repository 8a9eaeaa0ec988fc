/** A recording through a guard's decision, in virtual time: the same lines and plans lead to the same result. Pure. */

import { type Bounds, LEVELS } from "../policy/bounds.ts";
import type {
  RecordedCgroup,
  RecordedPlan,
  RecordingHead,
  RecordingLine,
} from "../record/format.ts";
import { boundsUnder } from "./bounds_under.ts";
import { deadlyLevel, type GuardPlan, type Mode, planFor, type Plans } from "./plan.ts";
import { planRecorded } from "./recorded_plan.ts";
import {
  createReplayWard,
  type Deed,
  recordedDeeds,
  type ReplayTerms,
  type ReplayWard,
} from "./replay_ward.ts";

/** A deed, and the limit that held then: bytes; `null` for none. */
export interface LimitedDeed extends Deed {
  readonly limit: number | null;
}

export interface ReplayedCgroup {
  readonly path: string;
  /** The last one, bytes; `null` for none. */
  readonly limit: number | null;
  readonly looks: number;
  readonly replayed: readonly LimitedDeed[];
  /** What the recording says was done; `undefined` where it is none of a guard. */
  readonly recorded: readonly LimitedDeed[] | undefined;
  /** Why it is not guarded under these plans. */
  readonly left: string | undefined;
  readonly guesses: number;
  /** The recording was made under another mode, which changes how usage goes. */
  readonly mode: { readonly recorded: Mode; readonly replayed: Mode } | undefined;
  /** What it was guarded by, and is now, where the recording has the former. */
  readonly plans: readonly { readonly recorded: GuardPlan; readonly replayed: GuardPlan }[];
}

/** What the recording tells besides. */
export interface Told {
  readonly at: number;
  readonly cgroup: string;
  readonly what: "oom_kill" | "oom" | "died";
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
  readonly other: Plans | undefined;
  bend(plan: GuardPlan): GuardPlan;
}

interface Followed {
  path: string;
  limit: number | null;
  looks: number;
  before: string | undefined;
  ward: ReplayWard | undefined;
  left: string | undefined;
  mode: ReplayedCgroup["mode"];
  readonly replayed: LimitedDeed[];
  readonly recorded: LimitedDeed[];
  /** From now to then. */
  readonly plans: Map<GuardPlan, GuardPlan>;
}

/** @param lines of a recording, the head first. */
export async function replay(
  lines: AsyncIterable<RecordingLine>,
  options: ReplayOptions,
): Promise<Replayed> {
  const followed = new Map<number, Followed>();
  const told: Told[] = [];
  let head: RecordingHead | undefined;
  let plans: Plan[] = [];
  let from = Infinity;
  let to = -Infinity;
  let ending: Replayed["ending"] = "cut_off";
  let lost = 0;
  const guards = () => head?.command === "guard";

  const assume = (recorded: readonly RecordedPlan[] | null) => {
    // Those that ask for the same are the same, as in the guard: what is under way goes on.
    const known = new Map(plans.map((plan) => [plan.key, plan]));
    plans = (recorded ?? []).map((plan) => {
      const key = JSON.stringify(plan);
      return known.get(key) ??
        { key, recorded: planRecorded(plan), plan: options.bend(planRecorded(plan)) };
    });
  };

  const describe = (line: RecordedCgroup) => {
    const each: Followed = followed.get(line.id) ?? {
      path: line.path,
      limit: line.limit,
      looks: 0,
      before: undefined,
      ward: undefined,
      left: undefined,
      mode: undefined,
      replayed: [],
      recorded: [],
      plans: new Map(),
    };
    followed.set(line.id, each);
    each.limit = line.limit;
    const terms = termsOf(line, head!, plans, options.other);
    each.left = typeof terms === "string" ? terms : undefined;
    if (typeof terms === "string") return void (each.ward = undefined);
    const before = plans[line.plan ?? -1]?.recorded;
    if (before) each.plans.set(terms.plan, before);
    if (each.ward) each.ward.rebound(terms);
    else each.ward = createReplayWard(terms, guards());
    each.mode = line.mode !== null && line.mode !== terms.mode
      ? { recorded: line.mode, replayed: terms.mode }
      : undefined;
  };

  for await (const line of inTime(lines)) {
    from = Math.min(from, line.at);
    to = Math.max(to, line.at);
    switch (line.type) {
      case "recording":
        head = line;
        assume(line.plans);
        break;
      case "plans":
        assume(line.plans);
        break;
      case "cgroup":
        describe(line);
        break;
      case "snapshot": {
        const each = followed.get(line.id)!;
        const limited = (deed: Deed): LimitedDeed => ({ ...deed, limit: each.limit });
        if (!line.beside || !guards()) each.looks++;
        if (guards() && !line.beside) {
          each.recorded.push(...recordedDeeds(line, each.before).map(limited));
          each.before = line.did;
        }
        each.replayed.push(...(each.ward?.look(line) ?? []).map(limited));
        break;
      }
      case "event":
        told.push(...toldIn(line.at, line.event));
        break;
      case "lost":
        lost += line.snapshots;
        break;
      case "end":
        ending = line.why;
    }
  }
  const cgroups = [...followed.values()].map((each): ReplayedCgroup => ({
    path: each.path,
    limit: each.limit,
    looks: each.looks,
    replayed: each.replayed,
    recorded: guards() ? each.recorded : undefined,
    left: each.left,
    guesses: each.ward?.guesses ?? 0,
    mode: each.mode,
    plans: [...each.plans].map(([replayed, recorded]) => ({ recorded, replayed })),
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
  readonly recorded: GuardPlan;
  readonly plan: GuardPlan;
}

/** How it is guarded in the replay, or why it is not. */
function termsOf(
  line: RecordedCgroup,
  head: RecordingHead,
  recorded: readonly Plan[],
  other: Plans | undefined,
): ReplayTerms | string {
  const { limit, path } = line;
  if (limit === null) return "it has no limit";
  if (line.measured !== path && head.command !== "guard") return "it is not itself what was read";
  if (head.command !== "guard" && line.limit_owner !== path) {
    return "its limit is another's, whose usage is not in the recording";
  }
  const own = recorded[line.plan ?? -1];
  if (own && !other) {
    const { plan } = own;
    const mode = modeUnder(own, line, head);
    const isSame = JSON.stringify([plan.levels, mode]) ===
      JSON.stringify([own.recorded.levels, line.mode]);
    const bounds = isSame ? marked(line) : boundsUnder(plan, limit, mode);
    return bounds ? { plan, bounds, limit, mode } : NOTHING_LEFT;
  }
  const number = other && planFor(other, path);
  const plan = number === undefined ? undefined : other?.all[number];
  if (plan === undefined) return "a rule exempts it";
  const mode = modeOf(plan, head);
  const bounds = boundsUnder(plan, limit, mode);
  return bounds ? { plan, bounds, limit, mode } : NOTHING_LEFT;
}

const NOTHING_LEFT = "the margin leaves nothing of its limit";

/** What was had there, unless what is asked for is another now. */
function modeUnder({ recorded, plan }: Plan, { mode }: RecordedCgroup, head: RecordingHead): Mode {
  const before = modeOf(recorded, head);
  const after = modeOf(plan, head);
  return before === after && mode !== null ? mode : after;
}

/** As `core/guard/modes.ts` has it. */
function modeOf(plan: GuardPlan, { hierarchy }: RecordingHead): Mode {
  if (plan.dryRun) return "notify";
  if (plan.mode !== "auto") return plan.mode;
  const isDeadly = deadlyLevel(plan.actions) !== undefined;
  return hierarchy === 2 && isDeadly && !plan.softLimit ? "tripwire" : "notify";
}

/** The levels as the guard had them. */
function marked({ marks }: RecordedCgroup): Bounds | undefined {
  const found = LEVELS.map((level) => marks.find(({ name }) => name === level)?.bytes);
  const [warn, critical, threshold] = found;
  return warn === undefined || critical === undefined || threshold === undefined
    ? undefined
    : { warn, critical, threshold };
}

/** Kills, whoever did it; of what a recording holds nothing is believed but what it says it is. */
function toldIn(at: number, event: object): Told[] {
  const { type, cgroup, victim, outcome } = event as Record<string, unknown>;
  if (typeof cgroup !== "string") return [];
  const name = nameOf(victim);
  if (type === "oom_kill" || type === "oom") return [{ at, cgroup, what: type, victim: name }];
  return type === "action" && outcome === "died"
    ? [{ at, cgroup, what: "died", victim: name }]
    : [];
}

function nameOf(victim: unknown): string | undefined {
  if (typeof victim !== "object" || victim === null) return undefined;
  const { pid, comm } = victim as Record<string, unknown>;
  return typeof comm === "string" && typeof pid === "number" ? `${comm} (${pid})` : undefined;
}
