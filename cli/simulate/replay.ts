/** A recording as it is read for somebody who waits for it. */

import { versionOf } from "../../core/cgroup/versions.ts";
import { toJson } from "../../core/events/json.ts";
import { policyOfRecord } from "../../core/guard/record.ts";
import { replay, rowsOf } from "../../core/guard/replay.ts";
import type { RecordingHead, RecordingLine } from "../../core/record/format.ts";
import { readRecording } from "../../core/record/reader.ts";
import { checkMode } from "../guard/checks.ts";
import { type Common, wantsJson } from "../options/subcommand.ts";
import { print } from "../output/output.ts";
import { createProgress, terminalOutput } from "../terminal/progress.ts";
import { chooseStyle } from "../terminal/style.ts";
import { replayReport } from "./replay_json.ts";
import { replayPolicy } from "./replay_options.ts";
import { replayText } from "./replay_text.ts";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";

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

/* `oomkit simulate --replay`: loaded only for who asks for it. */

/**
 * Prints what a guard would have done. The same recording and options print the same, byte for byte.
 * Throws `OomkitError` for a recording that cannot be read, and for options that make no plan.
 */
export async function replayRecording(
  path: string,
  flags: Common,
  command: CommandUnknownOpts,
): Promise<number> {
  const lines = linesOf(path);
  try {
    const { value } = await lines.next();
    // Without one the reader has thrown already.
    const head = value as RecordingHead;
    const policy = await replayPolicy(command, head.policies !== null);
    const policies = policy.other?.all ??
      head.policies!.map((plan) => policy.override(policyOfRecord(plan)));
    // As where it was recorded.
    const ground = { version: versionOf(head.hierarchy), writable: true, kernel: true };
    for (const plan of policies) checkMode(ground, plan);
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
