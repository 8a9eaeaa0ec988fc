/**
 * `oomkit completions`: a script that makes a shell complete the commands, their options and the values. It is made
 * from the definitions of the commands, and asks nobody while it completes: starting oomkit takes longer than a person
 * waits for a tab. Cgroups it finds in the file system.
 */

import { Argument, Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { bashCompletions } from "./bash.ts";
import { fishCompletions } from "./fish.ts";
import { zshCompletions } from "./zsh.ts";
import { type CommandDefinition, commandOf, definitionsOf } from "../options/definitions.ts";
import type { Finish } from "../exit.ts";
import { print } from "../output/output.ts";

/** What a script is made from. */
export interface ShellProgram {
  readonly commands: readonly CommandDefinition[];
  /** The program itself: what it takes without a command. */
  readonly alone: CommandDefinition;
}

const SHELLS = {
  bash: bashCompletions,
  zsh: zshCompletions,
  fish: fishCompletions,
} as const;

type Shell = keyof typeof SHELLS;

/** @param program all the commands, unlike the one that runs, which has but the called one. */
export function completionsCommand(finish: Finish, program: () => Promise<CommandUnknownOpts>) {
  const shells = Object.keys(SHELLS) as Shell[];
  return new Command("completions")
    .description("print a script that makes a shell complete commands, options and values")
    .addArgument(new Argument("<shell>", shells.join(", ")).choices(shells))
    .addHelpText("after", HELP)
    .action(async (shell) => {
      print(completions(shell as Shell, await program()).trimEnd());
      finish(0);
    });
}

const HELP = `
For this shell only, or in its start-up file for every one:

  bash  source <(oomkit completions bash)
  zsh   source <(oomkit completions zsh)       (behind compinit)
  fish  oomkit completions fish | source

For every user:

  oomkit completions bash > /etc/bash_completion.d/oomkit
  oomkit completions zsh > /usr/local/share/zsh/site-functions/_oomkit
  oomkit completions fish > /etc/fish/completions/oomkit.fish`;

export function completions(shell: Shell, program: CommandUnknownOpts): string {
  return SHELLS[shell]({ commands: definitionsOf(program), alone: commandOf(program) });
}
