/** The hidden command with which `simulate` starts an allocator process. */

import { Command } from "@commander-js/extra-typings";
import { allocate, parseAllocation } from "../../core/simulate/allocator.ts";
import type { Finish } from "../exit.ts";

export function allocateCommand(finish: Finish) {
  return new Command("__allocate").argument("<allocation>").action(async (text) => {
    await allocate(parseAllocation(text));
    finish(0);
  });
}
