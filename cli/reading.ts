/** A recording as it is read for somebody who waits for it. */

import { readRecording } from "../core/record/reader.ts";
import type { RecordingLine } from "../core/record/format.ts";
import { createProgress, terminalOutput } from "./progress.ts";

/** So seldom that it costs nothing. */
const EACH = 4096;

/** As `readRecording`; on a terminal it is told how far it has come. */
export function linesOf(path: string): AsyncGenerator<RecordingLine> {
  const output = terminalOutput();
  return output === undefined ? readRecording(path) : told(readRecording(path), output);
}

async function* told(
  lines: AsyncGenerator<RecordingLine>,
  output: NonNullable<ReturnType<typeof terminalOutput>>,
): AsyncGenerator<RecordingLine> {
  const progress = createProgress(output);
  let count = 0;
  try {
    for await (const line of lines) {
      if (count++ % EACH === 0) progress.show(`reading the recording, ${count} lines so far`);
      yield line;
    }
  } finally {
    progress.end();
  }
}
