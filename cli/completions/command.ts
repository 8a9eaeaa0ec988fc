/**
 * `oomkit completions`: prints a script that completes commands, options, values, cgroups, units, containers and pids. The script contains the definitions
 * of the commands and never starts oomkit, because that takes longer than a user waits after pressing Tab.
 */

import { Argument, Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Finish } from "../exit.ts";
import { type CommandDefinition, definitionsOf } from "../options/definitions.ts";
import { chosen, withHelp } from "../options/option.ts";
import { print } from "../output/output.ts";
import { bashCompletions } from "./bash.ts";
import { fishCompletions } from "./fish.ts";
import { zshCompletions } from "./zsh.ts";
import { SUMMARIES } from "../summaries.ts";

const SHELLS = { bash: bashCompletions, zsh: zshCompletions, fish: fishCompletions } as const;

type Shell = keyof typeof SHELLS;

/** @param program loads all the commands; the program that runs has only the called one. */
export function completionsCommand(finish: Finish, program: () => Promise<CommandUnknownOpts>) {
  const shells = Object.keys(SHELLS) as Shell[];
  const command = new Command("completions")
    .description(SUMMARIES.completions.description)
    .addArgument(
      new Argument("<shell>", shells.join(", ")).choices(shells).argParser(chosen(shells)),
    )
    .action(async (shell) => {
      const { alone, commands } = definitionsOf(await program());
      const script = SHELLS[shell as Shell]({
        alone: withoutHidden(alone),
        commands: commands.map(withoutHidden),
      });
      print(script.trimEnd());
      finish(0);
    });
  return withHelp(command, {
    examples: [
      "source <(oomkit completions bash)",
      "source <(oomkit completions zsh)  # after compinit",
      "oomkit completions fish | source",
    ],
    notes: NOTES,
    exitStatus: { "0": "the script is printed", "2": "the shell is not supported" },
  });
}

const withoutHidden = (command: CommandDefinition): CommandDefinition => ({
  ...command,
  options: command.options.filter(({ hidden }) => !hidden),
});

const NOTES = `The examples load completions into the running shell; put the line into the
start-up file of the shell to load them always. For every user:

  oomkit completions bash > /etc/bash_completion.d/oomkit
  oomkit completions zsh > /usr/local/share/zsh/site-functions/_oomkit
  oomkit completions fish > /etc/fish/completions/oomkit.fish`;
