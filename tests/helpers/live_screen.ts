/** What tests of the live view have in common. */

import { oomkit } from "./run_oomkit.ts";
import type { TerminalScreen } from "./tmux.ts";

/** For sh. */
export const program = oomkit().map((word) => `'${word}'`).join(" ");

/** A shell that tells how the program ended, and whether it left the terminal as it was. */
export const told = (args: string) =>
  `before=$(stty -g); ${program} ${args}; code=$?; ` +
  `[ "$(stty -g)" = "$before" ] && echo "ended $code as it was" || echo "ended $code, changed"; cat`;

export const ended = (code: number) => (text: string) => text.includes(`ended ${code} as it was`);
export const has = (...parts: string[]) => (text: string) =>
  parts.every((part) => text.includes(part));
export const isView = has("CGROUP", "? help");
/** Of the first row that has one. */
export const percentOf = (text: string) => Number(/ (\d+)%/.exec(text)?.[1]);
export const lastLine = (screen: TerminalScreen) =>
  screen.lines().findLast((line) => line !== "") ?? "";
