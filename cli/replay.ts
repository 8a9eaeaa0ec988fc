/** `oomkit simulate --replay`: loaded only for who asks for it. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { replay } from "../core/guard/replay.ts";
import { rowsOf } from "../core/guard/replay_compare.ts";
import type { RecordingHead, RecordingLine } from "../core/record/format.ts";
import { readRecording } from "../core/record/reader.ts";
import { toJson } from "../core/report/json.ts";
import { type Common, wantsJson } from "./options.ts";
import { print } from "./output.ts";
import { replayReport } from "./replay_json.ts";
import { replayPolicy } from "./replay_options.ts";
import { replayText } from "./replay_text.ts";
import { chooseStyle } from "./style.ts";

/**
 * Prints what a guard would have done. The same recording and options print the same, byte for byte.
 * Throws `OomkitError` for a recording that cannot be read, and for options that make no plan.
 */
export async function replayRecording(
  path: string,
  flags: Common,
  command: CommandUnknownOpts,
): Promise<number> {
  const lines = readRecording(path);
  try {
    const { value } = await lines.next();
    // Without one the reader has thrown already.
    const head = value as RecordingHead;
    const policy = await replayPolicy(command, head.plans !== null);
    const replayed = await replay(withHead(head, lines), policy);
    const report = replayReport(replayed, rowsOf(replayed), policy);
    if (wantsJson(flags)) print(toJson(report, 2));
    else for (const line of replayText(report, chooseStyle(flags.color))) print(line);
    return 0;
  } finally {
    await lines.return(undefined);
  }
}

async function* withHead(
  head: RecordingHead,
  rest: AsyncIterable<RecordingLine>,
): AsyncGenerator<RecordingLine> {
  yield head;
  yield* rest;
}
