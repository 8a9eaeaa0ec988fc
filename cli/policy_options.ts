/** A guard's options that decide what it does with what it sees: what `simulate --replay` takes, too. */

import type { Command, CommandUnknownOpts, OptionValues } from "@commander-js/extra-typings";
import { OomkitError } from "../core/errors.ts";
import { guardBase } from "./guard_options.ts";
import { option } from "./options.ts";
import { type RecordFlags, withRecording } from "./record_options.ts";

/** Long names without the dashes. */
export const POLICY_OPTIONS = [
  "warn",
  "critical",
  "margin-ratio",
  "min-margin",
  "max-margin",
  "base",
  "on-warn",
  "on-critical",
  "on-threshold",
  "policy",
  "mode",
  "grace",
  "patience",
  "no-reclaim",
  "hysteresis",
  "cooldown",
  "repeat",
] as const;

const isPolicy = ({ long }: { readonly long?: string | undefined }) =>
  POLICY_OPTIONS.some((name) => long === `--${name}`);

/** The heading in the help. */
const REPLAY = "Replay, and the guard's options that it takes in place of what is recorded:";

export interface ReplayFlags {
  readonly replay?: string;
}

/** A command that records and replays; the policy is read by `cli/replay_options.ts` alone. */
export function withReplay<A extends unknown[], O extends OptionValues, G extends OptionValues>(
  command: Command<A, O, G>,
): Command<A, O & RecordFlags & ReplayFlags, G> {
  const extended = withRecording(command).addOption(
    option("--replay <file>", "run a recording through a guard's decision, in virtual time")
      .helpGroup(REPLAY),
  );
  for (const each of guardBase().options.filter(isPolicy)) {
    extended.addOption(each.helpGroup(REPLAY));
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
