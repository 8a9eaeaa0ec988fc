/** A command of the user's that is told of an event. */

/** How it ended: its exit code, or why there is none. */
export type HookEnd = { readonly code: number } | { readonly failed: string };

/**
 * Runs `sh -c command` with `text` on its stdin, and ends it when it takes too long. It is given the OOM score that the guard
 * had before it protected itself.
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
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(late.resolve, timeout);
  const status = await Promise.race([child.status, late.promise]);
  clearTimeout(timer);
  if (status === undefined) {
    child.kill("SIGKILL");
    await child.status;
  }
  await fed;
  return status === undefined
    ? { failed: `it took longer than ${timeout} ms and was ended` }
    : { code: status.code };
}
