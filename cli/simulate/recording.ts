/** The recording of a simulation: what its watch reads and tells, and each look of its allocators at their usage. */

import { discover } from "../../core/cgroup/hierarchy.ts";
import { OomkitError } from "../../core/errors.ts";
import { recordingOrigin } from "../../core/record/clock.ts";
import type { RecordSink } from "../../core/record/format.ts";
import type { EmitEvent, OnUsage } from "../../core/simulate/event.ts";
import { openRecording } from "../output/recording.ts";
import type { SimulateFlags } from "./options.ts";

export interface SimulationRecording {
  readonly recordSink: RecordSink;
  readonly see: OnUsage;
  readonly tell: EmitEvent;
  close(): Promise<void>;
}

/** `undefined` where nothing is asked for; `others` as `openRecording` has it. */
export async function recordSimulation(
  flags: SimulateFlags,
  ...others: readonly RecordSink[]
): Promise<SimulationRecording | undefined> {
  const run = { command: "simulate", hierarchy: versionOf(flags) } as const;
  const recording = await openRecording(flags, run, ...others);
  if (recording === undefined) return undefined;
  // Its clock begins at a whole millisecond.
  const skew = recordingOrigin() - performance.timeOrigin;
  let id: number | undefined;
  return {
    recordSink: {
      line(line) {
        // There is one cgroup, which the watch describes before anything grows in it.
        if (line.type === "cgroup") id = line.id;
        recording.line(line);
      },
    },
    see(at, usage) {
      if (id === undefined) return;
      recording.line({ type: "snapshot", at: at + skew, id, usage, sampled: true });
    },
    tell: (event) => recording.event(event),
    close: recording.close,
  };
}

function versionOf({ fake, fakeVersion, root }: SimulateFlags): 1 | 2 {
  if (fakeVersion !== undefined) return fakeVersion === "1" ? 1 : 2;
  if (fake !== undefined) return 2;
  try {
    return discover(root).version.number;
  } catch (error) {
    // Without any it is played on a fake tree; what is wrong with --root is told by who uses it.
    if (error instanceof OomkitError) return 2;
    throw error;
  }
}
