/** The options of `simulate` that replay a recording, among them those of a guard's policy. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import { POLICY_OPTIONS } from "../guard/policy_options.ts";
import { inGroup, value } from "../options/option.ts";

export const REPLAY_OPTIONS = {
  replay: value(
    "--replay <file>",
    "replay a recording through the guard's decisions, in virtual time",
    {
      group: "replay",
      isBasic: true,
    },
  ),
  ...inGroup(POLICY_OPTIONS, "replay"),
};

/** Whether an option belongs to the policy of a guard. */
export const isPolicy = (option: { attributeName(): string }) =>
  option.attributeName() in POLICY_OPTIONS;

/** What a replay takes besides. */
const BESIDES = ["replay", "output", "json", "color", "config"];

/** A variable or a file may be meant for another call; what stands on the command line is meant. */
export function checkReplay(command: CommandUnknownOpts): void {
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
