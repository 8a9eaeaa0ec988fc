/**
 * Somebody to put things back when the guard is killed: a shell that waits for the end of a pipe that only the guard holds,
 * and then becomes `oomkit guard --release`. Ignores what ends a foreground job.
 */

export interface Minder {
  readonly pid: number;
  /** There is nothing left to be put back. */
  dismiss(): Promise<void>;
}

const SCRIPT = 'trap "" INT TERM HUP QUIT; cat; exec "$@"';

/** @param release the command that puts things back. `undefined` where there is no shell. */
export function startMinder(release: readonly string[]): Minder | undefined {
  try {
    const child = new Deno.Command("sh", {
      args: ["-c", SCRIPT, "oomkit-minder", ...release],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    return {
      pid: child.pid,
      async dismiss() {
        child.kill("SIGKILL");
        await child.status;
        await child.stdin.close().catch(() => {});
      },
    };
  } catch {
    return undefined;
  }
}
