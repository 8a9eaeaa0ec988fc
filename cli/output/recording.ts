/** The recording of a run. Loaded only if a recording or a picture was requested. */

import { hostname } from "node:os";
import { recordingClock } from "../../core/record/clock.ts";
import {
  both,
  eventLine,
  type RecordedPolicy,
  RECORDING_VERSION,
  type RecordingHead,
  type RecordSink,
} from "../../core/record/format.ts";
import { openRecordFile, type RecordFile } from "../../core/record/writer.ts";
import { checkOutputConflicts } from "./output_conflicts.ts";
import { isRecorded, type RecordFlags } from "../options/record.ts";
import { printable, printStderr } from "./output.ts";
import { VERSION } from "../version.ts";

export interface RunRecording extends RecordSink {
  /** Records an event. */
  event(event: Parameters<typeof eventLine>[0]): void;
  /** Writes the rest. Throws `OomkitError` on failure. */
  close(): Promise<void>;
}

export interface RecordedRun {
  readonly command: RecordingHead["command"];
  readonly hierarchy: 1 | 2;
  readonly policies?: readonly RecordedPolicy[];
}

/**
 * `undefined` if nothing was requested. Throws `OomkitError` if a file cannot be created.
 *
 * @param others get the same lines
 */
export async function openRecording(
  flags: RecordFlags,
  run: RecordedRun,
  ...others: readonly RecordSink[]
): Promise<RunRecording | undefined> {
  if (!isRecorded(flags) && others.length === 0) return undefined;
  checkOutputConflicts(flags);
  const file = flags.record === undefined ? undefined : await openRecordFile(flags.record, {
    max: flags.recordMax,
    force: flags.force === true,
    warn: (line) => printStderr(printable(line)),
  });
  const picture = await openPicture(flags, file);
  const { line } = both(...[file, picture].filter((each) => each !== undefined), ...others);
  line(headOf(run));
  return {
    line,
    event: (event) => line(eventLine(event)),
    close: async () => {
      await file?.close();
      await picture?.close();
    },
  };
}

async function openPicture(flags: RecordFlags, file: RecordFile | undefined) {
  if (flags.html === undefined && flags.svg === undefined) return undefined;
  try {
    return (await import("./picture.ts")).openPicture(flags);
  } catch (error) {
    // Closing an empty recording removes its file.
    await file?.close();
    throw error;
  }
}

function headOf({ command, hierarchy, policies }: RecordedRun): RecordingHead {
  return {
    type: "recording",
    v: RECORDING_VERSION,
    at: recordingClock(),
    command,
    oomkit: VERSION,
    host: hostname(),
    kernel: Deno.osRelease(),
    hierarchy,
    policies: policies ?? null,
  };
}
