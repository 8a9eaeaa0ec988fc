import { discover, type Hierarchy } from "../../core/cgroup/hierarchy.ts";
import { OomkitError } from "../../core/errors.ts";
import type { RecordSink } from "../../core/record/format.ts";
import { clock, type EmitEvent, type OnUsage, simulationEvent } from "../../core/simulate/event.ts";
import type { Curve } from "../../core/simulate/growth.ts";
import {
  ownCgroupTarget,
  pageBytes,
  type Plan,
  roomFor,
  sandboxTarget,
  type SimulationTarget,
} from "../../core/simulate/plan.ts";
import { simulate, simulateFake } from "../../core/simulate/simulation.ts";
import { FAKE_CGROUP } from "../../core/simulate/fake_tree.ts";
import { removeStale } from "../../core/simulate/sandbox.ts";
import type { Finish } from "../exit.ts";
import { isRecorded } from "../options/record.ts";
import { OutputClosed } from "../output/output.ts";
import { selfCommand } from "../self_command.ts";
import { ENDING, onSignals } from "../signals.ts";
import { simulateBase, type SimulateFlags } from "./options.ts";
import { checkRoom, limitOf, planOf } from "./plan.ts";
import type { SimulationRecording } from "./recording.ts";
import { openShow, type Show, type VerdictEvent } from "./show.ts";

export function simulateCommand(finish: Finish) {
  return simulateBase()
    .action(async (flags, self) => {
      if (flags.replay === undefined) return finish(await run(flags));
      const { replayRecording } = await import("./replay.ts");
      finish(await replayRecording(flags.replay, flags, self));
    });
}

async function run(flags: SimulateFlags): Promise<number> {
  const interrupt = new AbortController();
  const recording = isRecorded(flags)
    ? await (await import("./recording.ts")).recordSimulation(flags)
    : undefined;
  const show = await openShow(flags, interrupt);
  const offSignals = onSignals(ENDING, () => interrupt.abort());
  try {
    const verdict = await simulateAs(flags, outputsTo(show, recording), interrupt.signal);
    recording?.emit(verdict);
    // What could not be shown in a timer is thrown here, once everything is cleaned up.
    const { reason } = interrupt.signal;
    if (reason instanceof OutputClosed || reason instanceof OomkitError) throw reason;
    await show.finish(verdict);
    return verdict.as_expected ? 0 : 1;
  } finally {
    show.close();
    try {
      await recording?.close();
    } finally {
      offSignals();
    }
  }
}

/** Where events and usage samples go. */
interface Outputs {
  readonly emit: EmitEvent;
  readonly onUsage: OnUsage;
  readonly recordSink?: RecordSink;
}

function outputsTo(show: Show, recording: SimulationRecording | undefined): Outputs {
  if (recording === undefined) return show;
  return {
    emit(event) {
      recording.emit(event);
      show.emit(event);
    },
    onUsage(at, usage) {
      recording.onUsage(at, usage);
      show.onUsage(at, usage);
    },
    recordSink: recording.recordSink,
  };
}

async function simulateAs(
  flags: SimulateFlags,
  outputs: Outputs,
  interrupted: AbortSignal,
): Promise<VerdictEvent> {
  const limit = limitOf(flags);
  checkFakeOptions(flags);
  const { fake, root } = flags;
  const inFakeTree = (version: 1 | 2, reason: string) =>
    simulateOnFakeTree(flags, limit!, version, reason, outputs, interrupted);
  if (fake !== undefined) return await inFakeTree(2, "--fake was given");
  if (limit === undefined) {
    const target = ownCgroupTarget(discover(root));
    return await simulateIn(target, planOf(flags, target.limit, pageBytes()), outputs, interrupted);
  }
  const plan = planOf(flags, limit, pageBytes());
  const hierarchy = findHierarchy(flags);
  if (typeof hierarchy === "string") return await inFakeTree(2, hierarchy);
  await reportStale(hierarchy, outputs.emit);
  checkRoom(limit, roomFor(hierarchy));
  const target = sandboxTarget(hierarchy, limit, flags.group === true);
  if ("refused" in target) return await inFakeTree(hierarchy.version.number, target.refused);
  return await simulateIn(target, plan, outputs, interrupted);
}

function checkFakeOptions({ fake, here, growth, fakeVersion }: SimulateFlags): void {
  if (fake !== undefined) {
    if (here !== true) return;
    throw new OomkitError("cannot use --here and --fake together", "give one of them");
  }
  const unused = growth !== undefined
    ? "--growth"
    : fakeVersion !== undefined
    ? "--fake-version"
    : undefined;
  if (unused === undefined) return;
  throw new OomkitError(`cannot use ${unused} without --fake`, "name a folder: --fake DIR");
}

async function simulateIn(
  target: SimulationTarget,
  plan: Plan,
  { emit, onUsage, recordSink }: Outputs,
  interrupted: AbortSignal,
): Promise<VerdictEvent> {
  const verdict = await simulate({
    plan: { ...plan, ...(recordSink && { recordSink }) },
    target,
    program: selfCommand(),
    emit,
    onUsage,
    interrupted,
  });
  return simulationEvent(clock(), target.cgroup.path, verdict);
}

/** The hierarchy, or why there is none; a wrong --root is an error. */
function findHierarchy({ root }: SimulateFlags): Hierarchy | string {
  try {
    return discover(root);
  } catch (error) {
    if (root !== undefined || !(error instanceof OomkitError)) throw error;
    return error.message;
  }
}

async function reportStale(hierarchy: Hierarchy, emit: EmitEvent): Promise<void> {
  const { removed, failed } = await removeStale(hierarchy);
  for (const path of removed) {
    emit(simulationEvent(clock(), path, { type: "stale_cgroup", removed: true, reason: null }));
  }
  for (const reason of failed) {
    const body = { type: "stale_cgroup", removed: false, reason } as const;
    emit(simulationEvent(clock(), hierarchy.root, body));
  }
}

/** From nothing to the limit, slow enough for a person to follow. */
const FAKE_SECONDS = 3;
/** A tree made with --fake continues after a kill, as a restarted container would. */
const FAKE_RESTART_MS = 2000;

async function simulateOnFakeTree(
  flags: SimulateFlags,
  limit: number,
  likelyVersion: 1 | 2,
  reason: string,
  { emit, onUsage, recordSink }: Outputs,
  interrupted: AbortSignal,
): Promise<VerdictEvent> {
  const plan = planOf({ ...flags, kind: "anon" }, limit, pageBytes());
  const { fake: dir, fakeVersion } = flags;
  const restarts = dir !== undefined && flags.expect === undefined;
  const curve: Curve = {
    shape: flags.growth ?? "linear",
    limit,
    rate: flags.rate ?? limit / FAKE_SECONDS,
    ...(plan.stopAt !== undefined && { stopAt: plan.stopAt }),
    ...(restarts && { restart: FAKE_RESTART_MS }),
  };
  const verdict = await simulateFake({
    plan: {
      ...plan,
      expected: restarts ? null : plan.expected,
      ...(recordSink && { recordSink }),
    },
    version: fakeVersion === undefined ? likelyVersion : fakeVersion === "1" ? 1 : 2,
    curve,
    reason,
    emit,
    onUsage,
    interrupted,
    ...(dir !== undefined && { dir }),
  });
  return simulationEvent(clock(), FAKE_CGROUP, verdict);
}
