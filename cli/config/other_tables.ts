/** What a configuration says to the commands that are not being run. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { applyConfig, type ConfigFile } from "./config.ts";

/** Throws {@link OomkitError} for the first mistake. */
export async function checkOtherTables(file: ConfigFile): Promise<void> {
  const nothing = () => {};
  const commands: CommandUnknownOpts[] = [
    (await import("../inspect/command.ts")).inspectCommand(nothing),
    (await import("../watch/command.ts")).watchCommand(nothing, undefined),
    (await import("../simulate/command.ts")).simulateCommand(nothing),
  ];
  for (const command of commands) applyConfig(command, file);
}
