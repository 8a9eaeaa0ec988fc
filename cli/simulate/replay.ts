/** `oomkit simulate --replay`: loaded only with this option. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { versionOf } from "../../core/cgroup/versions.ts";
import { toJson } from "../../core/events/json.ts";
import { policyOfRecord } from "../../core/guard/record.ts";
import { replay, rowsOf } from "../../core/guard/replay.ts";
import type { RecordingHead, RecordingLine } from "../../core/record/format.ts";
import { checkMode } from "../guard/setup.ts";
import { type Common, wantsJson } from "../options/subcommand.ts";
import { print } from "../output/output.ts";
import { recordingLines } from "../output/recording_lines.ts";
import { chooseStyle } from "../terminal/style.ts";
import { replayPolicy } from "./replay_options.ts";
import { replayReport } from "./replay_report.ts";
import { replayText } from "./replay_text.ts";

/**
 * Prints what a guard would have done. The same recording and options print the same, byte for byte.
 * Throws `OomkitError` for a recording that cannot be read, and for options that do not make a policy.
 */
export async function replayRecording(
  path: string,
  flags: Common,
  command: CommandUnknownOpts,
): Promise<number> {
  const lines = recordingLines(path);
  try {
    const { value } = await lines.next();
    // The reader throws where there is no head.
    const head = value as RecordingHead;
    const policy = await replayPolicy(command, head.policies !== null);
    const policies = policy.other?.all ??
      head.policies!.map((recorded) => policy.override(policyOfRecord(recorded)));
    // The capabilities of the machine of the recording.
    const hierarchy = { version: versionOf(head.hierarchy), writable: true, kernel: true };
    for (const each of policies) checkMode(hierarchy, each);
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
