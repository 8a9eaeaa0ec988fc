/** `oomkit simulate --replay`: loaded only for who asks for it. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { policyOfRecord } from "../core/guard/recorded_plan.ts";
import { replay } from "../core/guard/replay.ts";
import { rowsOf } from "../core/guard/replay_compare.ts";
import type { RecordingHead, RecordingLine } from "../core/record/format.ts";
import { toJson } from "../core/report/json.ts";
import { checkMode } from "./guard_checks.ts";
import { type Common, wantsJson } from "./options.ts";
import { print } from "./output.ts";
import { linesOf } from "./reading.ts";
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
  const lines = linesOf(path);
  try {
    const { value } = await lines.next();
    // Without one the reader has thrown already.
    const head = value as RecordingHead;
    const policy = await replayPolicy(command, head.policies !== null);
    const policies = policy.other?.all ??
      head.policies!.map((plan) => policy.override(policyOfRecord(plan)));
    // As where it was recorded.
    const ground = { version: { number: head.hierarchy }, writable: true, kernel: true };
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
