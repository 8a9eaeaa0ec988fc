/**
 * Somebody to put things back when the guard is killed: a shell that waits for the end of a pipe that only the guard holds,
 * and then becomes `oomkit guard --restore`. Ignores what ends a foreground job.
 */

export interface RestoreWatchdog {
  readonly pid: number;
  /** There is nothing left to be put back. */
  dismiss(): Promise<void>;
}

/** It waits with what every shell has in itself: a child for that would be left behind when it is dismissed. */
const SCRIPT = 'trap "" INT TERM HUP QUIT; while read -r _; do :; done; exec "$@"';

/** @param release the command that puts things back. `undefined` where there is no shell. */
export function startRestoreWatchdog(release: readonly string[]): RestoreWatchdog | undefined {
  try {
    const child = new Deno.Command("sh", {
      args: ["-c", SCRIPT, "oomkit-restore", ...release],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      // Deno ends its other children along with itself when an exception ends it, which is when this one is needed most.
      detached: true,
    }).spawn();
    return {
      pid: child.pid,
      async dismiss() {
        try {
          child.kill("SIGKILL");
        } catch {
          // Somebody has ended it before.
        }
        await child.status;
        await child.stdin.close().catch(() => {});
      },
    };
  } catch {
    return undefined;
  }
}
