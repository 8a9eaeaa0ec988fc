/** Recordings of a guard: its policies, its commands to the monitor thread, and what that thread has seen and decided. */

import { openCgroup } from "../cgroup/cgroup.ts";
import { identify } from "../cgroup/identity.ts";
import type { OomkitEvent } from "../events/event.ts";
import { mapActions, recordedAction, recordedActionText } from "../policy/actions.ts";
import { LEVELS } from "../policy/levels.ts";
import { recordingClock } from "../record/clock.ts";
import type {
  RecordedCgroup,
  RecordedPolicy,
  RecordedSnapshot,
  RecordSink,
} from "../record/format.ts";
import { type Sampler, startSampler } from "../record/sampler.ts";
import type { GuardPolicy, PolicySet } from "./policy.ts";
import { type CgroupSpec, type Command, type GuardSettings, unflatten } from "./thread/protocol.ts";
import {
  createSampleRing,
  drainSamples,
  type SampleRing,
  type UsageSample,
} from "./thread/sample_ring.ts";

/** Without the preferences, which are about processes that a recording does not have, and without the text of commands. */
export function recordedPolicy(policy: GuardPolicy): RecordedPolicy {
  const { warn, critical, margin } = policy.levels;
  return {
    rule: policy.rule ?? null,
    mode: policy.mode,
    warn,
    critical,
    margin,
    metric: policy.metric,
    actions: mapActions(policy.actions, recordedActionText),
    ...policy.triggerPolicy,
    reclaim: policy.killSettings.reclaimFirst,
    swap: policy.killSettings.countSwap ? "count" : "ignore",
    grace_period: policy.killSettings.graceMs,
    kill_timeout: policy.killSettings.exitTimeoutMs,
    dry_run: policy.dryRun,
  };
}

export function policyOfRecord(policy: RecordedPolicy): GuardPolicy {
  const { warn, critical, margin, hysteresis, cooldown, repeat } = policy;
  return {
    ...(policy.rule !== null && { rule: policy.rule }),
    mode: policy.mode,
    levels: { warn, critical, margin },
    triggerPolicy: { hysteresis, cooldown, repeat },
    killSettings: {
      countSwap: policy.swap !== "ignore",
      reclaimFirst: policy.reclaim,
      graceMs: policy.grace_period,
      exitTimeoutMs: policy.kill_timeout,
    },
    metric: policy.metric,
    actions: mapActions(policy.actions, recordedAction),
    preferences: { prefer: [], avoid: [], ignore: [] },
    softLimit: false,
    dryRun: policy.dry_run,
    protectedPids: new Set(),
  };
}

type Emit = (event: OomkitEvent, stat?: string) => void;

/** Often enough that the ring does not overflow, see core/guard/thread/sample_ring.ts. */
const DRAIN_EVERY_MS = 100;

type CgroupLine = Omit<RecordedCgroup, "at">;

interface RecordedState {
  readonly spec: Pick<CgroupSpec, "limitOwner" | "scope">;
  readonly line: CgroupLine;
  /** Of the last sample: an equal one is not written again. */
  lastKey: string;
}

export class GuardRecording {
  /** To be filled by the monitor thread. */
  readonly samples: SampleRing | undefined;
  readonly #sink: RecordSink | undefined;
  readonly #emit: Emit;
  readonly #states = new Map<number, RecordedState>();
  #metrics: readonly GuardPolicy["metric"][];
  #timer: ReturnType<typeof setInterval> | undefined;
  #sampler: Sampler | undefined;

  /** @param sink without one nothing is recorded. */
  constructor(sink: RecordSink | undefined, policies: PolicySet, emit: Emit) {
    this.samples = sink && createSampleRing();
    this.#sink = sink;
    this.#emit = emit;
    this.#metrics = policies.all.map(({ metric }) => metric);
  }

  /** Emits an event after the samples that were taken before it. */
  emit(event: OomkitEvent, stat?: string): void {
    this.#drain();
    this.#emit(event, stat);
  }

  /** Records a command, to be called before it is sent. */
  command(command: Command): void {
    // Samples that were taken before it belong to the settings before it.
    this.#drain();
    const at = recordingClock();
    switch (command.type) {
      case "policies": {
        const { all } = command.policies;
        this.#metrics = all.map(({ metric }) => metric);
        return this.#sink?.line({ type: "policies", at, policies: all.map(recordedPolicy) });
      }
      case "add":
        return this.#recordCgroup(command.spec.id, command.spec, command.spec);
      case "update_settings": {
        const known = this.#states.get(command.id);
        return known && this.#recordCgroup(command.id, known.spec, command.settings);
      }
      case "remove":
        if (this.#states.delete(command.id)) this.#sink?.line({ type: "gone", at, id: command.id });
    }
  }

  begin(): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    this.#timer = setInterval(() => this.#drain(), DRAIN_EVERY_MS);
    const afterSamples: RecordSink = {
      line: (line) => {
        this.#drain();
        sink.line(line);
      },
    };
    this.#sampler = startSampler(afterSamples, () => this.#limitOwners());
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#drain();
    this.#sampler?.stop();
  }

  *#limitOwners() {
    for (const [id, { spec: { limitOwner } }] of this.#states) {
      const cgroup = openCgroup(unflatten(limitOwner).hierarchy, limitOwner.path);
      if (cgroup) yield { id, cgroup };
    }
  }

  #recordCgroup(id: number, spec: RecordedState["spec"], settings: GuardSettings): void {
    if (this.#sink === undefined) return;
    const line = cgroupLine(id, spec, settings);
    const before = this.#states.get(id);
    if (before && JSON.stringify(before.line) === JSON.stringify(line)) return;
    this.#states.set(id, { spec, line, lastKey: "" });
    this.#sink.line({ ...line, at: recordingClock() });
  }

  #drain(): void {
    const sink = this.#sink;
    if (sink === undefined || this.samples === undefined) return;
    const { lost } = drainSamples(this.samples, (sample) => {
      const state = this.#states.get(sample.id);
      // The warm-up's, or of a cgroup that is no longer guarded.
      if (state === undefined) return;
      const { policy, reference_lines: [warn] } = state.line;
      const line = snapshotOf(sample, this.#metrics[policy ?? 0] ?? "usage", warn!.bytes);
      const { at, levels: _, ...rest } = line;
      const key = JSON.stringify(rest);
      if (key === state.lastKey && sample.triggered.length === 0) return;
      state.lastKey = key;
      sink.line({ ...line, at });
    });
    if (lost > 0) sink.line({ type: "lost", at: recordingClock(), snapshots: lost });
  }
}

function cgroupLine(
  id: number,
  { limitOwner, scope }: RecordedState["spec"],
  settings: GuardSettings,
): CgroupLine {
  const { containerId, podUid } = identify(scope.path);
  return {
    type: "cgroup",
    id,
    path: scope.path,
    usage_cgroup: limitOwner.path,
    container_id: containerId ?? null,
    pod_uid: podUid ?? null,
    limit: settings.limit,
    limit_owner: limitOwner.path,
    reference_lines: LEVELS.map((name) => ({ name, bytes: settings.levelBytes[name] })),
    policy: settings.policy,
    mode: settings.mode,
    oom_total_bytes: settings.oomTotalBytes,
  };
}

/** @param warn bytes; below it only usage is read. */
function snapshotOf(
  sample: UsageSample,
  metric: GuardPolicy["metric"],
  warn: number,
): RecordedSnapshot {
  const { usage, metricValue, reclaimable, rate, unreclaimableRate, victim, decision, triggered } =
    sample;
  const { swappable, kernelMemory, reclaimed, writeback, peakRate, oomKillerDisabled } = sample;
  return {
    type: "snapshot",
    at: sample.at,
    id: sample.id,
    usage,
    ...(metric === "working-set" && usage >= warn && { inactive_file: usage - metricValue }),
    ...(reclaimable !== undefined && { reclaimable }),
    ...(swappable && { swappable }),
    ...(kernelMemory && { kernel_memory: kernelMemory }),
    ...(writeback && { writeback }),
    ...(reclaimed !== undefined && { reclaimed }),
    ...(rate !== undefined && { rate: rounded(rate) }),
    ...(peakRate && { peak_rate: rounded(peakRate) }),
    ...(oomKillerDisabled && { oom_killer_disabled: true as const }),
    ...(unreclaimableRate !== undefined && { unreclaimable_rate: rounded(unreclaimableRate) }),
    ...(victim && { victim }),
    ...(decision && { decision }),
    ...(triggered.length > 0 && { levels: triggered }),
  };
}

/** To three decimals: no decision depends on less, and zero stays distinct from negative rates. */
const rounded = (rate: number) => Math.round(1000 * rate) / 1000;
