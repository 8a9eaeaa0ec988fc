/** The hidden command with which `simulate --machine` starts its ticker. */

import { Command } from "@commander-js/extra-typings";
import { tick } from "../../core/simulate/ticker.ts";
import type { Finish } from "../exit.ts";

export function tickCommand(finish: Finish) {
  return new Command("__tick").action(() => {
    tick();
    finish(0);
  });
}
