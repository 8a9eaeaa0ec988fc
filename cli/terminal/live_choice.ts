/** Whether a live view is shown, or a line for each event. What draws it is loaded only where it is. */

import { isInForeground } from "./foreground.ts";
import { plainOutputReasonFor } from "./palette.ts";
import type { DrawFlags } from "../options/live.ts";
import { printStderr } from "../output/output.ts";

/**
 * Where stdout and stdin are a terminal that can be drawn on, unless lines were asked for. Who asks for a view that cannot be had
 * is told why, and gets lines.
 *
 * @param lines why lines are wanted in any case, such as for JSON.
 */
export function shouldDrawLive({ live }: DrawFlags, lines?: string): boolean {
  if (live === false) return false;
  const why = lines ?? obstacle();
  if (why !== undefined && live) printStderr(`oomkit: no live view: ${why}`);
  return why === undefined;
}

function obstacle(): string | undefined {
  const drawing = plainOutputReasonFor();
  if (drawing) return drawing.message.replace("cannot draw: ", "");
  if (!Deno.stdin.isTerminal()) return "stdin is no terminal";
  return isInForeground() ? undefined : "it runs in the background";
}
