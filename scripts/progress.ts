/** What a script is at, on the last line of the terminal: cli/terminal/progress.ts, for whoever imports this. */

import { createProgress, terminalOutput } from "../cli/terminal/progress.ts";

/** Whatever else is written to the terminal is written by `say`, `note` and `pass` of terminal.ts, which make room for it. */
export const progress = createProgress(terminalOutput());

/**
 * For a script that ends at once when it is interrupted: the line goes first.
 * @param leave removes what the script has made so far; it must not throw.
 */
export function endWithProgress(leave: () => void): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    const handle = () => {
      progress.end();
      leave();
      Deno.removeSignalListener(signal, handle);
      // Once more, and this time it ends the script as it would have without a line.
      Deno.kill(Deno.pid, signal);
    };
    Deno.addSignalListener(signal, handle);
  }
}
