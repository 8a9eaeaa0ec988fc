/** Plans as they are written into a recording, and as they are read from one. Pure. */

import { openCgroup } from "../cgroup/cgroup.ts";
import { identify } from "../cgroup/identity.ts";
import type { OomkitEvent } from "../events/event.ts";
import { recordingClock } from "../record/clock.ts";
import type {
  RecordedCgroup,
  RecordedPolicy,
  RecordedSnapshot,
  RecordSink,
} from "../record/format.ts";
import { startSampler } from "../record/sampler.ts";
import type { Action, GuardPolicy, PolicySet } from "./policy.ts";
import { type CgroupSpec, type Command, type GuardSettings, unflatten } from "./thread/protocol.ts";
import {
  createSampleRing,
  drainSamples,
  type SampleRing,
  type UsageSample,
} from "./thread/sample_ring.ts";

/** Without whom it prefers, which is about processes that a recording does not have, and without the text of commands. */
export function recordedPolicy(policy: GuardPolicy): RecordedPolicy {
  const { warn, critical, margin } = policy.levels;
  return {
    rule: policy.rule ?? null,
    mode: policy.mode,
    warn,
    critical,
    margin,
    metric: policy.metric,
    actions: {
      warn: policy.actions.warn.map(actionWord),
      critical: policy.actions.critical.map(actionWord),
      imminent: policy.actions.imminent.map(actionWord),
    },
    ...policy.triggerPolicy,
    reclaim: policy.timeouts.reclaim,
    grace_period: policy.timeouts.graceMs,
    kill_timeout: policy.timeouts.killMs,
    dry_run: policy.dryRun,
  };
}

const actionWord = (action: Action) =>
  action.kind === "signal" ? `signal:${action.signal}` : action.kind;

export function policyOfRecord(policy: RecordedPolicy): GuardPolicy {
  const { warn, critical, margin, hysteresis, cooldown, repeat } = policy;
  return {
    ...(policy.rule !== null && { rule: policy.rule }),
    mode: policy.mode,
    levels: { warn, critical, margin },
    triggerPolicy: { hysteresis, cooldown, repeat },
    timeouts: {
      reclaim: policy.reclaim,
      graceMs: policy.grace_period,
      killMs: policy.kill_timeout,
    },
    metric: policy.metric,
    actions: {
      warn: policy.actions.warn.map(actionNamed),
      critical: policy.actions.critical.map(actionNamed),
      imminent: policy.actions.imminent.map(actionNamed),
    },
    preferences: { prefer: [], avoid: [], ignore: [] },
    softLimit: false,
    dryRun: policy.dry_run,
    protectedPids: new Set(),
  };
}

/** What this version does not know does nothing that could be run again. */
function actionNamed(word: string): Action {
  switch (word) {
    case "reclaim":
    case "process":
    case "container":
      return { kind: word };
    case "exec":
      return { kind: word, command: "" };
    default:
      return word.startsWith("signal:")
        ? { kind: "signal", signal: word.slice("signal:".length) as Deno.Signal }
        : { kind: "noop" };
  }
}

/* What a guard sees and is told to do, as lines of a recording. */

type Emit = (event: OomkitEvent, stat?: string) => void;

export interface GuardRecording {
  /** For the sentry. */
  readonly samples: SampleRing | undefined;
  /** The same, after what was seen before. */
  emit: Emit;
  /** Notes what the sentry is told. */
  ordering(send: (send: Command) => void): (send: Command) => void;
  begin(): void;
  stop(): void;
}

/** Often enough that nothing is lost, see `core/guard/thread/sample_ring.ts` (milliseconds). */
const DRAIN_MS = 100;

type Described = Omit<RecordedCgroup, "at">;

interface Noted {
  readonly spec: Pick<CgroupSpec, "limitOwner" | "scope">;
  line: Described;
  /** The last look, so that what is the same is not told again. */
  last: string;
}

/** @param recorder without one nothing is set up. */
export function recordGuard(
  recordSink: RecordSink | undefined,
  policies: PolicySet,
  emit: Emit,
): GuardRecording {
  if (recordSink === undefined) {
    return { samples: undefined, emit, ordering: (send) => send, begin() {}, stop() {} };
  }
  const samples = createSampleRing();
  const noted = new Map<number, Noted>();
  let bases = policies.all.map(({ metric }) => metric);

  const drain = () => {
    const { lost } = drainSamples(samples, (look) => {
      const state = noted.get(look.state);
      // The rehearsal's, or of one that is not guarded any more.
      if (state === undefined) return;
      const { policy, reference_lines: [warn] } = state.line;
      const line = snapshotOf(look, bases[policy ?? 0] ?? "usage", warn!.bytes);
      const { at, levels: _, ...rest } = line;
      const key = JSON.stringify(rest);
      if (key === state.last && look.triggered.length === 0) return;
      state.last = key;
      recordSink.line({ ...line, at });
    });
    if (lost > 0) recordSink.line({ type: "lost", at: recordingClock(), snapshots: lost });
  };

  const describe = (id: number, spec: Noted["spec"], settings: GuardSettings) => {
    const line = lineOf(id, spec, settings);
    const before = noted.get(id);
    if (before && JSON.stringify(before.line) === JSON.stringify(line)) return;
    noted.set(id, { spec, line, last: "" });
    recordSink.line({ ...line, at: recordingClock() });
  };

  const note = (send: Command) => {
    // What was seen before it was seen under what held before.
    drain();
    switch (send.type) {
      case "policies":
        bases = send.policies.all.map(({ metric }) => metric);
        recordSink.line({
          type: "policies",
          at: recordingClock(),
          policies: send.policies.all.map(recordedPolicy),
        });
        return;
      case "add":
        return describe(send.state.id, send.state, send.state);
      case "update_settings": {
        const known = noted.get(send.id);
        return known && describe(send.id, known.spec, send.settings);
      }
      case "remove":
        if (!noted.delete(send.id)) return;
        recordSink.line({ type: "gone", at: recordingClock(), id: send.id });
    }
  };

  const sampled = function* () {
    for (const [id, { spec: { limitOwner } }] of noted) {
      const cgroup = openCgroup(unflatten(limitOwner).hierarchy, limitOwner.path);
      if (cgroup) yield { id, cgroup };
    }
  };

  let timer: ReturnType<typeof setInterval> | undefined;
  let sampler: ReturnType<typeof startSampler> | undefined;
  return {
    samples,
    emit(event, stat) {
      drain();
      emit(event, stat);
    },
    ordering: (send) => (each) => {
      note(each);
      send(each);
    },
    begin() {
      timer = setInterval(drain, DRAIN_MS);
      const byBadnessNow: RecordSink = {
        line(line) {
          drain();
          recordSink.line(line);
        },
      };
      sampler = startSampler(byBadnessNow, sampled);
    },
    stop() {
      clearInterval(timer);
      drain();
      sampler?.stop();
    },
  };
}

function lineOf(
  id: number,
  { limitOwner, scope }: Noted["spec"],
  settings: GuardSettings,
): Described {
  const { containerId, podUid } = identify(scope.path);
  const { warn, critical, imminent } = settings.levelBytes;
  return {
    type: "cgroup",
    id,
    path: scope.path,
    usage_cgroup: limitOwner.path,
    container_id: containerId ?? null,
    pod_uid: podUid ?? null,
    limit: settings.limit,
    limit_owner: limitOwner.path,
    reference_lines: [
      { name: "warn", bytes: warn },
      { name: "critical", bytes: critical },
      { name: "imminent", bytes: imminent },
    ],
    policy: settings.policy,
    mode: settings.mode,
    oom_total_bytes: settings.oomTotalBytes,
  };
}

function snapshotOf(
  look: UsageSample,
  metric: "usage" | "working-set",
  warn: number,
): RecordedSnapshot {
  const {
    at,
    usage,
    metricValue: value,
    reclaimable,
    rate,
    unreclaimableRate,
    victim,
    decision,
    triggered,
  } = look;
  return {
    type: "snapshot",
    at,
    id: look.state,
    usage,
    // Below the first level nobody asks.
    ...(metric === "working-set" && usage >= warn && { inactive_file: usage - value }),
    ...(reclaimable !== undefined && { reclaimable }),
    ...(rate !== undefined && { rate: rounded(rate) }),
    ...(unreclaimableRate !== undefined && { unreclaimable_rate: rounded(unreclaimableRate) }),
    ...(victim && { victim }),
    ...(decision && { decision }),
    ...(triggered.length > 0 && { levels: triggered }),
  };
}

/** To a thousandth: nothing is decided by less, and zero stays apart from what is below it. */
const rounded = (rate: number) => Math.round(1000 * rate) / 1000;
