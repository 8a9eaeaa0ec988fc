import { discover, type Hierarchy } from "../../core/cgroup/hierarchy.ts";
import { OomkitError } from "../../core/errors.ts";
import { simulateFake } from "../../core/simulate/fake_simulation.ts";
import type { Curve } from "../../core/simulate/growth.ts";
import { removeStale } from "../../core/simulate/stale.ts";
import type { Plan } from "../../core/simulate/plan.ts";
import { simulate } from "../../core/simulate/simulation.ts";
import { clock, type EmitEvent, simulationEvent } from "../../core/simulate/event.ts";
import { ownCgroupTarget, roomFor, sandboxTarget } from "../../core/simulate/target.ts";
import type { Finish } from "../exit.ts";
import { OutputClosed } from "../output/output.ts";
import { selfCommand } from "../self_command.ts";
import { isRecorded } from "../options/record.ts";
import { ENDING, onSignals } from "../signals.ts";
import { simulateBase, type SimulateFlags } from "./options.ts";
import type { SimulationRecording } from "./recording.ts";
import { checkRoom, limitOf, planOf } from "./plan.ts";
import { type Evaluated, type Show, showOf } from "./show.ts";

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
  const recording = !isRecorded(flags)
    ? undefined
    : await (await import("./recording.ts")).recordSimulation(flags);
  const show = await showOf(flags, interrupt);
  const offSignals = onSignals(ENDING, () => interrupt.abort());
  try {
    const verdict = await play(flags, sinks(show, recording), interrupt.signal);
    recording?.tell(verdict);
    // A timer has nobody to throw to: what it could not print is thrown once everything is cleaned up.
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

/** Whoever is told what happens: the show first, and then the recording, where there is one. */
interface SimulationSinks extends Pick<Show, "tell" | "see"> {
  readonly recorded: { readonly recordSink?: SimulationRecording["recordSink"] };
}

function sinks(show: Show, recording: SimulationRecording | undefined): SimulationSinks {
  if (recording === undefined) return { tell: show.tell, see: show.see, recorded: {} };
  return {
    tell(event) {
      recording.tell(event);
      show.tell(event);
    },
    see(at, usage) {
      recording.see(at, usage);
      show.see(at, usage);
    },
    recorded: { recordSink: recording.recordSink },
  };
}

async function play(
  flags: SimulateFlags,
  onlooking: SimulationSinks,
  interrupted: AbortSignal,
): Promise<Evaluated> {
  const { tell, see, recorded } = onlooking;
  const limit = limitOf(flags);
  if (flags.fake !== undefined && flags.here === true) {
    throw new OomkitError("cannot use --here and --fake at once", "give one of them");
  }
  if (flags.fake !== undefined) {
    return await playFake(flags, limit!, 2, "--fake asks for it", onlooking, interrupted);
  }
  const idle = flags.growth !== undefined
    ? "--growth"
    : flags.fakeVersion !== undefined
    ? "--fake-version"
    : undefined;
  if (idle !== undefined) {
    throw new OomkitError(`cannot use ${idle} without --fake`, "name a folder: --fake DIR");
  }
  const program = selfCommand();
  if (limit === undefined) {
    const target = ownCgroupTarget(discover(flags.root));
    const plan = { ...planOf(flags, target.limit), ...recorded };
    const verdict = await simulate(plan, target, program, tell, interrupted, see);
    return simulationEvent(clock(), target.cgroup.path, verdict);
  }

  const plan = { ...planOf(flags, limit), ...recorded };
  const hierarchy = findHierarchy(flags);
  if (typeof hierarchy === "string") {
    return await playFake(flags, limit, 2, hierarchy, onlooking, interrupted);
  }
  await sweep(hierarchy, tell);
  checkRoom(limit, roomFor(hierarchy));
  const target = sandboxTarget(hierarchy, limit, flags.group === true);
  if ("refused" in target) {
    const { number: version } = hierarchy.version;
    return await playFake(flags, limit, version, target.refused, onlooking, interrupted);
  }
  const verdict = await simulate(plan, target, program, tell, interrupted, see);
  return simulationEvent(clock(), target.cgroup.path, verdict);
}

/** Without any memory cgroups there still is something to show; a wrong --root is a mistake. */
function findHierarchy({ root }: SimulateFlags): Hierarchy | string {
  try {
    return discover(root);
  } catch (error) {
    if (root !== undefined || !(error instanceof OomkitError)) throw error;
    return error.message;
  }
}

async function sweep(hierarchy: Hierarchy, tell: EmitEvent): Promise<void> {
  const { removed, failed } = await removeStale(hierarchy);
  for (const path of removed) {
    tell(simulationEvent(clock(), path, { type: "leftover", removed: true, reason: null }));
  }
  for (const reason of failed) {
    tell(simulationEvent(clock(), hierarchy.root, { type: "leftover", removed: false, reason }));
  }
}

/** Slow enough to be watched by a person: from nothing to the limit in three seconds. */
const FAKE_SECONDS = 3;
/** A kept-up tree plays on, as a container that is restarted would. */
const FAKE_RESTART_MS = 2000;

async function playFake(
  flags: SimulateFlags,
  limit: number,
  likely: 1 | 2,
  reason: string,
  { tell, see, recorded }: SimulationSinks,
  interrupted: AbortSignal,
): Promise<Evaluated> {
  const plan: Plan = {
    ...planOf({ ...flags, kind: "anon" }, limit),
    ...recorded,
  };
  const keptUp = flags.fake !== undefined && flags.expect === undefined;
  const curve: Curve = {
    shape: flags.growth ?? "linear",
    limit,
    rate: flags.rate ?? limit / FAKE_SECONDS,
    ...(plan.stopAt !== undefined && { stopAt: plan.stopAt }),
    ...(keptUp && { restart: FAKE_RESTART_MS }),
  };
  const version = flags.fakeVersion === undefined ? likely : flags.fakeVersion === "1" ? 1 : 2;
  const { fake: dir } = flags;
  const expected = keptUp ? null : plan.expected;
  const place = { version, curve, reason, ...(dir !== undefined && { dir }) } as const;
  const { verdict, cgroup } = await simulateFake(
    { ...plan, expected },
    place,
    tell,
    interrupted,
    see,
  );
  return simulationEvent(clock(), cgroup, verdict);
}
