/**
 * Restores a killed guard's changes: a shell that waits for the end of a pipe that only the guard holds open, and then executes
 * `oomkit guard --restore`. It ignores the signals that end a foreground job.
 */

import { reasonOf } from "./write.ts";

export interface RestoreWatchdog {
  readonly pid: number;
  /** Ends it: there is nothing left to restore. */
  dismiss(): Promise<void>;
}

/**
 * Waits with the shell's own commands: a child for that would outlive the dismissed shell. Neither the kernel nor a guard of the machine
 * kills what has -1000; where that is refused, it has the value of the guard.
 */
const SCRIPT = "echo -1000 >/proc/self/oom_score_adj; " +
  'trap "" INT TERM HUP QUIT; while read -r _; do :; done; exec "$@"';

/** Fails where there is no shell. */
export function startRestoreWatchdog(
  restoreCommand: readonly string[],
): RestoreWatchdog | { readonly failed: string } {
  try {
    const child = new Deno.Command("sh", {
      args: ["-c", SCRIPT, "oomkit-restore", ...restoreCommand],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      // Deno ends its other children when an exception ends it, which is when this one is needed most.
      detached: true,
    }).spawn();
    return {
      pid: child.pid,
      async dismiss() {
        try {
          child.kill("SIGKILL");
        } catch {
          // It has ended already.
        }
        await child.status;
        await child.stdin.close().catch(() => {});
      },
    };
  } catch (error) {
    return { failed: `cannot start sh: ${reasonOf(error)}` };
  }
}
