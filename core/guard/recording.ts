/** What a guard sees and is told to do, as lines of a recording. */

import { openCgroup } from "../cgroup/cgroup.ts";
import { identify } from "../cgroup/identity.ts";
import { recordingClock } from "../record/clock.ts";
import type { RecordedCgroup, RecordedSnapshot, Recorder } from "../record/format.ts";
import { startSampler } from "../record/sampler.ts";
import type { OomkitEvent } from "../report/event.ts";
import { type Look, type SharedLooks, shareLooks, takeLooks } from "./look_ring.ts";
import { type Order, unflatten, type WardSpec, type WardTerms } from "./messages.ts";
import type { Plans } from "./plan.ts";
import { recordedPlan } from "./recorded_plan.ts";

type Emit = (event: OomkitEvent, stat?: string) => void;

export interface GuardRecording {
  /** For the sentry. */
  readonly looks: SharedLooks | undefined;
  /** The same, after what was seen before. */
  emit: Emit;
  /** Notes what the sentry is told. */
  ordering(order: (order: Order) => void): (order: Order) => void;
  begin(): void;
  stop(): void;
}

/** Often enough that nothing is lost, see `core/guard/look_ring.ts` (milliseconds). */
const DRAIN_MS = 100;

type Described = Omit<RecordedCgroup, "at">;

interface Noted {
  readonly spec: Pick<WardSpec, "measured" | "scope">;
  line: Described;
  /** The last look, so that what is the same is not told again. */
  last: string;
}

/** @param recorder without one nothing is set up. */
export function recordGuard(
  recorder: Recorder | undefined,
  plans: Plans,
  emit: Emit,
): GuardRecording {
  if (recorder === undefined) {
    return { looks: undefined, emit, ordering: (order) => order, begin() {}, stop() {} };
  }
  const looks = shareLooks();
  const noted = new Map<number, Noted>();
  let bases = plans.all.map(({ base }) => base);

  const drain = () => {
    const { lost } = takeLooks(looks, (look) => {
      const ward = noted.get(look.ward);
      // The rehearsal's, or of one that is not guarded any more.
      if (ward === undefined) return;
      const { plan, marks: [warn] } = ward.line;
      const line = snapshotOf(look, bases[plan ?? 0] ?? "usage", warn!.bytes);
      const { at, rang: _, ...rest } = line;
      const key = JSON.stringify(rest);
      if (key === ward.last && look.rang.length === 0) return;
      ward.last = key;
      recorder.line({ ...line, at });
    });
    if (lost > 0) recorder.line({ type: "lost", at: recordingClock(), snapshots: lost });
  };

  const describe = (id: number, spec: Noted["spec"], terms: WardTerms) => {
    const line = lineOf(id, spec, terms);
    const before = noted.get(id);
    if (before && JSON.stringify(before.line) === JSON.stringify(line)) return;
    noted.set(id, { spec, line, last: "" });
    recorder.line({ ...line, at: recordingClock() });
  };

  const note = (order: Order) => {
    // What was seen before it was seen under what held before.
    drain();
    switch (order.order) {
      case "plans":
        bases = order.plans.all.map(({ base }) => base);
        recorder.line({
          type: "plans",
          at: recordingClock(),
          plans: order.plans.all.map(recordedPlan),
        });
        return;
      case "adopt":
        return describe(order.ward.id, order.ward, order.ward);
      case "rebound": {
        const known = noted.get(order.id);
        return known && describe(order.id, known.spec, order.terms);
      }
      case "drop":
        if (!noted.delete(order.id)) return;
        recorder.line({ type: "gone", at: recordingClock(), id: order.id });
    }
  };

  const sampled = function* () {
    for (const [id, { spec: { measured } }] of noted) {
      const cgroup = openCgroup(unflatten(measured).hierarchy, measured.path);
      if (cgroup) yield { id, cgroup };
    }
  };

  let timer: ReturnType<typeof setInterval> | undefined;
  let sampler: ReturnType<typeof startSampler> | undefined;
  return {
    looks,
    emit(event, stat) {
      drain();
      emit(event, stat);
    },
    ordering: (order) => (each) => {
      note(each);
      order(each);
    },
    begin() {
      timer = setInterval(drain, DRAIN_MS);
      const inOrder: Recorder = {
        line(line) {
          drain();
          recorder.line(line);
        },
      };
      sampler = startSampler(inOrder, sampled);
    },
    stop() {
      clearInterval(timer);
      drain();
      sampler?.stop();
    },
  };
}

function lineOf(id: number, { measured, scope }: Noted["spec"], terms: WardTerms): Described {
  const { containerId, podUid } = identify(scope.path);
  const { warn, critical, threshold } = terms.bounds;
  return {
    type: "cgroup",
    id,
    path: scope.path,
    measured: measured.path,
    container_id: containerId ?? null,
    pod_uid: podUid ?? null,
    limit: terms.limit,
    limit_owner: measured.path,
    marks: [
      { name: "warn", bytes: warn },
      { name: "critical", bytes: critical },
      { name: "threshold", bytes: threshold },
    ],
    plan: terms.plan,
    mode: terms.mode,
    capacity: terms.capacity,
  };
}

function snapshotOf(
  look: Look,
  base: "usage" | "working-set",
  warn: number,
): RecordedSnapshot {
  const { at, usage, value, reclaimable, rate, unreclaimableRate, victim, did, rang } = look;
  return {
    type: "snapshot",
    at,
    id: look.ward,
    usage,
    // Below the first level nobody asks.
    ...(base === "working-set" && usage >= warn && { inactive_file: usage - value }),
    ...(reclaimable !== undefined && { reclaimable }),
    ...(rate !== undefined && { rate: rounded(rate) }),
    ...(unreclaimableRate !== undefined && { unreclaimable_rate: rounded(unreclaimableRate) }),
    ...(victim && { victim }),
    ...(did && { did }),
    ...(rang.length > 0 && { rang }),
  };
}

/** To a thousandth: nothing is decided by less, and zero stays apart from what is below it. */
const rounded = (rate: number) => Math.round(1000 * rate) / 1000;
