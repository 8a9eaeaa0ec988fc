/** Records a simulation: what its watch reads and emits, and the usage that its allocators read. */

import { discover } from "../../core/cgroup/hierarchy.ts";
import { OomkitError } from "../../core/errors.ts";
import { recordingOrigin } from "../../core/record/clock.ts";
import type { RecordSink } from "../../core/record/format.ts";
import type { EmitEvent, OnUsage } from "../../core/simulate/event.ts";
import { openRecording } from "../output/recording.ts";
import type { SimulateFlags } from "./options.ts";

export interface SimulationRecording {
  readonly recordSink: RecordSink;
  readonly onUsage: OnUsage;
  readonly emit: EmitEvent;
  close(): Promise<void>;
}

/** `undefined` where no recording is asked for; `others` as for `openRecording`. */
export async function recordSimulation(
  flags: SimulateFlags,
  ...others: readonly RecordSink[]
): Promise<SimulationRecording | undefined> {
  const run = { command: "simulate", hierarchy: versionOf(flags) } as const;
  const recording = await openRecording(flags, run, ...others);
  if (recording === undefined) return undefined;
  // The recording's clock starts at a whole millisecond.
  const skew = recordingOrigin() - performance.timeOrigin;
  let id: number | undefined;
  return {
    recordSink: {
      line(line) {
        // There is one cgroup, and the watch describes it before anything grows in it.
        if (line.type === "cgroup") id = line.id;
        recording.line(line);
      },
    },
    onUsage(at, usage) {
      if (id === undefined) return;
      recording.line({ type: "snapshot", at: at + skew, id, usage, sampled: true });
    },
    emit: (event) => recording.event(event),
    close: recording.close,
  };
}

function versionOf({ fake, fakeVersion, root }: SimulateFlags): 1 | 2 {
  if (fakeVersion !== undefined) return fakeVersion === "1" ? 1 : 2;
  if (fake !== undefined) return 2;
  try {
    return discover(root).version.number;
  } catch (error) {
    // Without cgroups the simulation uses a fake v2 tree; a wrong --root is reported later.
    if (error instanceof OomkitError) return 2;
    throw error;
  }
}
