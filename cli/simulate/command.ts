/** `oomkit simulate`. */

import { discover, type Hierarchy } from "../../core/cgroup/hierarchy.ts";
import { OomkitError } from "../../core/errors.ts";
import { recordingOrigin } from "../../core/record/clock.ts";
import type { RecordSink } from "../../core/record/format.ts";
import {
  clock,
  type EmitEvent,
  simulationEvent,
  type VerdictEvent,
} from "../../core/simulate/event.ts";
import { FAKE_CGROUP } from "../../core/simulate/fake_tree.ts";
import {
  ownCgroupTarget,
  pageBytes,
  type Plan,
  roomFor,
  sandboxTarget,
  type SimulationTarget,
} from "../../core/simulate/plan.ts";
import { removeStale } from "../../core/simulate/sandbox.ts";
import { simulate, simulateFake, type SimulationOptions } from "../../core/simulate/simulation.ts";
import type { Finish } from "../exit.ts";
import { isRecorded } from "../options/subcommand.ts";
import { OutputClosed } from "../output/output.ts";
import { selfCommand } from "../self_command.ts";
import { ENDING, onSignals } from "../signals.ts";
import { simulateBase, type SimulateFlags } from "./options.ts";
import { checkRoom, limitOf, planOf } from "./plan.ts";
import { openShow } from "./show.ts";

export function simulateCommand(finish: Finish) {
  return simulateBase()
    .action(async (flags, self) => {
      if (flags.replay === undefined) return finish(await run(flags));
      const { replayRecording } = await import("./replay.ts");
      finish(await replayRecording(flags.replay, flags, self));
    });
}

/** Where events and usage samples go, and what ends the simulation early. */
interface Outputs
  extends Pick<SimulationOptions, "emit" | "onUsage" | "interrupted" | "findKillers"> {
  /** Gets what the watch reads. */
  readonly recordSink?: RecordSink;
}

async function run(flags: SimulateFlags): Promise<number> {
  const interrupt = new AbortController();
  const interrupted = interrupt.signal;
  const recording = isRecorded(flags) ? await recordSimulation(flags) : undefined;
  const show = await openShow(flags, interrupt);
  const offSignals = onSignals(ENDING, () => interrupt.abort());
  const outputs: Outputs = {
    emit(event) {
      recording?.emit(event);
      show.emit(event);
    },
    onUsage(at, usage) {
      recording?.onUsage(at, usage);
      show.onUsage(at, usage);
    },
    interrupted,
    ...recording && { recordSink: recording.recordSink },
  };
  try {
    const verdict = await simulateAs(flags, outputs);
    recording?.emit(verdict);
    // What could not be shown in a timer is thrown here, once everything is cleaned up.
    const { reason } = interrupted;
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

/** Records what the watch of a simulation reads and emits, and the usage that its allocators read. */
async function recordSimulation(flags: SimulateFlags) {
  const { openRecording } = await import("../output/recording.ts");
  const recording = (await openRecording(flags, {
    command: "simulate",
    hierarchy: recordedVersion(flags),
  }))!;
  // The recording's clock starts at a whole millisecond.
  const skew = recordingOrigin() - performance.timeOrigin;
  let id: number | undefined;
  const recordSink: RecordSink = {
    line(line) {
      // There is one cgroup, and the watch describes it before anything grows in it.
      if (line.type === "cgroup") id = line.id;
      recording.line(line);
    },
  };
  return {
    recordSink,
    onUsage(at: number, usage: number) {
      if (id === undefined) return;
      recording.line({ type: "snapshot", at: at + skew, id, usage, sampled: true });
    },
    emit: recording.event,
    close: recording.close,
  };
}

function recordedVersion(flags: SimulateFlags): 1 | 2 {
  if (flags.fakeVersion !== undefined || flags.fake !== undefined) return fakeVersionOf(flags, 2);
  // Without cgroups the simulation uses a fake v2 tree; a wrong --root is reported later.
  const hierarchy = findHierarchy(flags.root);
  return typeof hierarchy === "string" ? 2 : hierarchy.version.number;
}

const fakeVersionOf = ({ fakeVersion }: SimulateFlags, likely: 1 | 2): 1 | 2 =>
  fakeVersion === undefined ? likely : fakeVersion === "1" ? 1 : 2;

async function simulateAs(flags: SimulateFlags, outputs: Outputs): Promise<VerdictEvent> {
  if (flags.machine === true) return await simulateMachine(flags, outputs);
  const limit = limitOf(flags);
  checkFakeOptions(flags);
  const { fake, root } = flags;
  const inFakeTree = (version: 1 | 2, reason: string) =>
    simulateOnFakeTree(flags, limit!, fakeVersionOf(flags, version), reason, outputs);
  if (fake !== undefined) return await inFakeTree(2, "--fake was given");
  if (limit === undefined) {
    const target = ownCgroupTarget(discover(root));
    return await simulateIn(target, planOf(flags, target.limit, pageBytes()), outputs);
  }
  const plan = planOf(flags, limit, pageBytes());
  // A wrong --root is an error.
  const hierarchy = root === undefined ? findHierarchy(root) : discover(root);
  if (typeof hierarchy === "string") return await inFakeTree(2, hierarchy);
  await reportStale(hierarchy, outputs.emit);
  checkRoom(limit, roomFor(hierarchy));
  const target = sandboxTarget(hierarchy, limit, flags.group === true);
  if ("refused" in target) return await inFakeTree(hierarchy.version.number, target.refused);
  return await simulateIn(target, plan, outputs);
}

async function simulateMachine(flags: SimulateFlags, outputs: Outputs): Promise<VerdictEvent> {
  const { planMachine, findKillers } = await import("./machine.ts");
  const { target, plan } = planMachine(flags);
  return await simulateIn(target, plan, { ...outputs, findKillers });
}

function checkFakeOptions({ fake, here, growth, fakeVersion }: SimulateFlags): void {
  if (fake !== undefined) {
    if (here !== true) return;
    throw new OomkitError("cannot use --here and --fake together", "give one of them");
  }
  if (growth === undefined && fakeVersion === undefined) return;
  const unused = growth !== undefined ? "--growth" : "--fake-version";
  throw new OomkitError(`cannot use ${unused} without --fake`, "name a directory: --fake DIR");
}

async function simulateIn(
  target: SimulationTarget,
  plan: Plan,
  { recordSink, ...outputs }: Outputs,
): Promise<VerdictEvent> {
  const verdict = await simulate({
    ...outputs,
    plan: { ...plan, ...recordSink && { recordSink } },
    target,
    program: selfCommand(),
  });
  return simulationEvent(clock(), target.cgroup.path, verdict);
}

/** The hierarchy, or why there is none. */
function findHierarchy(root: string | undefined): Hierarchy | string {
  try {
    return discover(root);
  } catch (error) {
    if (error instanceof OomkitError) return error.message;
    throw error;
  }
}

async function reportStale(hierarchy: Hierarchy, emit: EmitEvent): Promise<void> {
  const { removed, failed } = await removeStale(hierarchy);
  const report = (path: string, reason: string | null) =>
    emit(simulationEvent(clock(), path, {
      type: "stale_cgroup",
      removed: reason === null,
      reason,
    }));
  for (const path of removed) report(path, null);
  for (const reason of failed) report(hierarchy.root, reason);
}

/** From nothing to the limit, slow enough for a person to follow. */
const FAKE_SECONDS = 3;
/** A tree made with --fake continues after a kill, as a restarted container would. */
const FAKE_RESTART_MS = 2000;

async function simulateOnFakeTree(
  flags: SimulateFlags,
  limit: number,
  version: 1 | 2,
  reason: string,
  { recordSink, ...outputs }: Outputs,
): Promise<VerdictEvent> {
  const plan = planOf({ ...flags, kind: "anon" }, limit, pageBytes());
  const { fake: dir } = flags;
  const restarts = dir !== undefined && flags.expect === undefined;
  const verdict = await simulateFake({
    ...outputs,
    plan: { ...plan, expected: restarts ? null : plan.expected, ...recordSink && { recordSink } },
    version,
    curve: {
      shape: flags.growth ?? "linear",
      limit,
      rate: flags.rate ?? limit / FAKE_SECONDS,
      ...plan.stopAt !== undefined && { stopAt: plan.stopAt },
      ...restarts && { restart: FAKE_RESTART_MS },
    },
    reason,
    ...dir !== undefined && { dir },
  });
  return simulationEvent(clock(), FAKE_CGROUP, verdict);
}
