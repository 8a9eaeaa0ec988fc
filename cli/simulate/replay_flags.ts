/** The options of `simulate --replay`: the recording, and the guard options that override its policy. */

import type { Command, CommandUnknownOpts, OptionValues } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import { option } from "../options/option.ts";
import { POLICY } from "../guard/policy_options.ts";
import { type RecordFlags, withRecording } from "../options/record.ts";

/** Such as `--warn`. */
const POLICY_NAMES = Object.values(POLICY).map((make) => make().long);

/** Whether the option is part of a guard policy. */
export const isPolicy = ({ long }: { readonly long?: string | undefined }) =>
  POLICY_NAMES.includes(long);

/** The heading in the help. */
const REPLAY = "Replay, and the guard's options that it takes in place of what is recorded:";

export interface ReplayFlags {
  readonly replay?: string;
}

/** Adds the options for recording and replaying; `cli/simulate/replay_options.ts` reads the policy. */
export function withReplay<A extends unknown[], O extends OptionValues, G extends OptionValues>(
  command: Command<A, O, G>,
): Command<A, O & RecordFlags & ReplayFlags, G> {
  const extended = withRecording(command).addOption(
    option("--replay <file>", "run a recording through a guard's decision, in virtual time")
      .helpGroup(REPLAY),
  );
  for (const make of Object.values(POLICY)) extended.addOption(make().helpGroup(REPLAY));
  extended.hook("preAction", (_, self) => checkReplay(self));
  return extended as unknown as Command<A, O & RecordFlags & ReplayFlags, G>;
}

/** The other options that a replay accepts. */
const OTHER_OPTIONS = ["replay", "output", "json", "color", "config"];

/** Rejects unsuitable options of the command line; variables and files may be meant for other runs. */
function checkReplay(command: CommandUnknownOpts): void {
  const isReplay = command.getOptionValue("replay") !== undefined;
  const unsuitable = command.options.find((each) =>
    command.getOptionValueSource(each.attributeName()) === "cli" &&
    (isReplay ? !isPolicy(each) && !OTHER_OPTIONS.includes(each.attributeName()) : isPolicy(each))
  );
  if (unsuitable === undefined) return;
  throw new OomkitError(
    `cannot use ${unsuitable.long} ${isReplay ? "with" : "without"} --replay`,
    isReplay ? "a replay allocates nothing" : "add a recording: --replay run.jsonl",
  );
}
