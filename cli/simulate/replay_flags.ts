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

/** The other options that a replay accepts. */
const OTHER_OPTIONS = ["replay", "output", "json", "color", "config"];

/** Rejects unsuitable options of the command line; variables and files may be meant for other runs. */
export function checkReplay(command: CommandUnknownOpts): void {
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
