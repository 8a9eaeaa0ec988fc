/** A command of the user's that is told of an event. */

/** How it ended: its exit code, or why there is none. */
export type HookEnd = { readonly code: number } | { readonly failed: string };

/**
 * Runs `sh -c command` with `text` on its stdin, and ends it, with all that it has started, when it takes too long. It is given
 * an OOM score of 0, as the guard has protected itself.
 *
 * @param timeout milliseconds.
 */
export async function runHook(command: string, text: string, timeout: number): Promise<HookEnd> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("sh", {
      args: ["-c", 'echo 0 2>/dev/null > /proc/self/oom_score_adj; eval "$0"', command],
      stdin: "piped",
      stdout: "null",
      stderr: "inherit",
      // A process group of its own, so that none of it is left behind.
      detached: true,
    }).spawn();
  } catch (error) {
    return { failed: `sh cannot be run: ${error instanceof Error ? error.message : error}` };
  }
  const feed = async () => {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(`${text}\n`));
    await writer.close();
  };
  // One that does not read its stdin is as good as one that does.
  const fed = feed().catch(() => {});
  const ended = Promise.all([child.status, fed]);
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(late.resolve, timeout);
  const [status] = await Promise.race([ended, late.promise]) ?? [];
  clearTimeout(timer);
  if (status !== undefined) return { code: status.code };
  killGroup(child.pid);
  await ended;
  return { failed: `it took longer than ${timeout} ms and was ended` };
}

function killGroup(leader: number): void {
  try {
    Deno.kill(-leader, "SIGKILL");
  } catch (error) {
    // It has just ended by itself.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
