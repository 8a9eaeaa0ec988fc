import type { Finish } from "./main.ts";
import { subcommand } from "./options.ts";

export function simulateCommand(finish: Finish) {
  return subcommand("simulate", "(not built yet)").action(() => finish(2));
}
