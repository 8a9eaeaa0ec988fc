/** How `simulate` takes a recording to replay, and a guard's options with it. */

import type { Command, CommandUnknownOpts, OptionValues } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import { moveToGroup, option } from "../options/option.ts";
import { POLICY } from "../guard/policy_options.ts";
import { type RecordFlags, withRecording } from "../options/record.ts";

/** Such as `--warn`. */
const POLICY_NAMES = Object.values(POLICY).map((make) => make().long);

/** Whether it is one of those that decide what a guard does. */
export const isPolicy = ({ long }: { readonly long?: string | undefined }) =>
  POLICY_NAMES.includes(long);

export interface ReplayFlags {
  readonly replay?: string;
}

/** A command that records and replays; the policy is read by `cli/simulate/replay_options.ts` alone. */
export function withReplay<A extends unknown[], O extends OptionValues, G extends OptionValues>(
  command: Command<A, O, G>,
): Command<A, O & RecordFlags & ReplayFlags, G> {
  const extended = withRecording(command).addOption(
    option("--replay <file>", "replay a recording through the guard's decisions, in virtual time", {
      group: "replay",
      isBasic: true,
    }),
  );
  for (const make of Object.values(POLICY)) {
    extended.addOption(moveToGroup(make(), "replay"));
  }
  extended.hook("preAction", (_, self) => checkReplay(self));
  return extended as unknown as Command<A, O & RecordFlags & ReplayFlags, G>;
}

/** What a replay takes besides. */
const BESIDES = ["replay", "output", "json", "color", "config"];

/** A variable or a file may be meant for another call; what stands on the command line is meant. */
function checkReplay(command: CommandUnknownOpts): void {
  const isReplay = command.getOptionValue("replay") !== undefined;
  const alien = command.options.find((each) =>
    command.getOptionValueSource(each.attributeName()) === "cli" &&
    (isReplay ? !isPolicy(each) && !BESIDES.includes(each.attributeName()) : isPolicy(each))
  );
  if (alien === undefined) return;
  throw new OomkitError(
    `cannot use ${alien.long} ${isReplay ? "with" : "without"} --replay`,
    isReplay
      ? "nothing is allocated: what is replayed has happened already"
      : "write: oomkit simulate --replay run.jsonl",
  );
}
