import type { Finish } from "./main.ts";
import { subcommand } from "./options.ts";

export function inspectCommand(finish: Finish) {
  return subcommand("inspect", "(not built yet)").action(() => finish(2));
}
