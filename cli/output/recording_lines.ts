/** Reads a recording, with progress on a terminal. */

import type { RecordingLine } from "../../core/record/format.ts";
import { readRecording } from "../../core/record/reader.ts";
import { createProgress, type ProgressOutput, terminalOutput } from "../terminal/progress.ts";

const LINES_BETWEEN_REPORTS = 4096;

/** As `readRecording`; on a terminal it shows its progress. */
export function recordingLines(path: string): AsyncGenerator<RecordingLine> {
  const output = terminalOutput();
  return output === undefined ? readRecording(path) : withProgress(readRecording(path), output);
}

async function* withProgress(
  lines: AsyncGenerator<RecordingLine>,
  output: ProgressOutput,
): AsyncGenerator<RecordingLine> {
  const progress = createProgress(output);
  let count = 0;
  try {
    for await (const line of lines) {
      if (count++ % LINES_BETWEEN_REPORTS === 0) {
        progress.show(`reading the recording, ${count} lines so far`);
      }
      yield line;
    }
  } finally {
    progress.end();
  }
}
