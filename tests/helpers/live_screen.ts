/** Shared by the tests of the live view. */

import { oomkit } from "./run_oomkit.ts";
import type { TerminalScreen } from "./tmux.ts";

/** The program as words for sh. */
export const program = oomkit().map((word) => `'${word}'`).join(" ");

/** A shell command that prints the exit code, and whether the terminal's settings are restored. */
export const withStatus = (args: string) =>
  `before=$(stty -g); ${program} ${args}; code=$?; ` +
  `[ "$(stty -g)" = "$before" ] && echo "ended $code restored" || echo "ended $code, changed"; cat`;

export const ended = (code: number) => (text: string) => text.includes(`ended ${code} restored`);
export const has = (...parts: string[]) => (text: string) =>
  parts.every((part) => text.includes(part));
export const isView = has("CGROUP", "? help");
/** The percentage of the first row that has one. */
export const percentOf = (text: string) => Number(/ (\d+)%/.exec(text)?.[1]);
export const lastLine = (screen: TerminalScreen) =>
  screen.lines().findLast((line) => line !== "") ?? "";
