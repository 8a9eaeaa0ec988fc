/** The progress line of a script on the terminal: one instance of cli/terminal/progress.ts. */

import { createProgress, terminalOutput } from "../cli/terminal/progress.ts";

/** All other terminal output goes through terminal.ts, which hides this line first. */
export const progress = createProgress(terminalOutput());

/**
 * Ends the script on a signal, after hiding the line.
 * @param leave removes what the script has made so far; must not throw.
 */
export function endWithProgress(leave: () => void): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    const handle = () => {
      progress.end();
      leave();
      Deno.removeSignalListener(signal, handle);
      // Send the signal again: now it ends the script as it would have without a handler.
      Deno.kill(Deno.pid, signal);
    };
    Deno.addSignalListener(signal, handle);
  }
}
