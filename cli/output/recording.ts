/** Recordings of runs, written and read. Loaded only if a recording or a picture was requested, or a recording is read. */

import { hostname } from "node:os";
import { recordingClock } from "../../core/record/clock.ts";
import {
  both,
  eventLine,
  type RecordedPolicy,
  type RecordingHead,
  type RecordingLine,
  type RecordSink,
} from "../../core/record/format.ts";
import { RECORDING_VERSION } from "../../core/record/version.ts";
import { openRecordFile, type RecordFile } from "../../core/record/writer.ts";
import { isRecorded, type RecordFlags } from "../options/subcommand.ts";
import { createProgress, terminalOutput } from "../terminal/progress.ts";
import { VERSION } from "../version.ts";
import { checkOutputConflicts } from "./files.ts";
import { printable, printStderr, tell } from "./output.ts";

export interface RunRecording extends RecordSink {
  event(event: Parameters<typeof eventLine>[0]): void;
  /** Writes the rest. Throws `OomkitError` on failure. */
  close(): Promise<void>;
}

interface RecordedRun {
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
      if (file) tell(`the recording is in ${flags.record}`);
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

const LINES_BETWEEN_REPORTS = 4096;

/** As `readRecording`; on a terminal it shows its progress. */
export async function* recordingLines(path: string): AsyncGenerator<RecordingLine> {
  // A guard only writes them.
  const { readRecording } = await import("../../core/record/reader.ts");
  const progress = createProgress(terminalOutput());
  let count = 0;
  try {
    for await (const line of readRecording(path)) {
      if (count++ % LINES_BETWEEN_REPORTS === 0) {
        progress.show(`reading the recording, ${count} lines so far`);
      }
      yield line;
    }
  } finally {
    progress.end();
  }
}
