import type { Finish } from "./main.ts";
import { subcommand } from "./options.ts";

export function watchCommand(finish: Finish) {
  return subcommand("watch", "(not built yet)").action(() => finish(2));
}
