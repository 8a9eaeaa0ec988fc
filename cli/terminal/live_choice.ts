/** Whether a live view is drawn instead of a line for each event. The view itself is loaded only if it is. */

import { isInForeground } from "./foreground.ts";
import { plainOutputReasonFor } from "./palette.ts";
import type { DrawFlags } from "../options/live.ts";
import { printStderr } from "../output/output.ts";

/**
 * True where stdin and stdout are a terminal that can be drawn on, unless lines were asked for. Prints the reason if `--live` was
 * given and no view is possible.
 *
 * @param linesReason why the output has to be lines, such as JSON output
 */
export function shouldDrawLive({ live }: DrawFlags, linesReason?: string): boolean {
  if (live === false) return false;
  const reason = linesReason ?? obstacle();
  if (reason !== undefined && live) printStderr(`oomkit: no live view: ${reason}`);
  return reason === undefined;
}

function obstacle(): string | undefined {
  const drawing = plainOutputReasonFor();
  if (drawing) return drawing.message.replace("cannot draw: ", "");
  if (!Deno.stdin.isTerminal()) return "stdin is not a terminal";
  return isInForeground() ? undefined : "oomkit runs in the background";
}
