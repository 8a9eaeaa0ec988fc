/** A command of the user's that is told of an event. */

import { withDeadline } from "../timing.ts";

/** What has been killed may take a while to be gone where the machine is short of memory; nobody waits longer (milliseconds). */
const GONE_WITHIN_MS = 1000;

/** How it ended: its exit code, or why there is none. */
export type HookEnd = { readonly code: number } | { readonly failed: string };

/**
 * Runs `sh -c command` with `text` on its stdin, and ends it, with all that it has started, when it takes too long. It is given
 * an OOM score of 0, as the guard has protected itself.
 *
 * @param timeout milliseconds.
 * @param ending ends it before that; its reason is what is told.
 * @param env beside what the guard itself has.
 */
export async function runHook(
  command: string,
  text: string,
  timeout: number,
  ending?: AbortSignal,
  env: Readonly<Record<string, string>> = {},
): Promise<HookEnd> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("sh", {
      args: ["-c", 'echo 0 2>/dev/null > /proc/self/oom_score_adj; eval "$0"', command],
      env: { ...env },
      stdin: "piped",
      stdout: "null",
      stderr: "inherit",
      // A process group of its own, so that none of it is left behind.
      detached: true,
    }).spawn();
  } catch (error) {
    return { failed: `sh cannot be run: ${error instanceof Error ? error.message : error}` };
  }
  const writer = child.stdin.getWriter();
  const feed = async () => {
    await writer.write(new TextEncoder().encode(`${text}\n`));
    await writer.close();
  };
  // One that does not read its stdin is as good as one that does.
  const fed = feed().catch(() => {});
  const ended = Promise.all([child.status, fed]);
  const late = Promise.withResolvers<string>();
  const timer = setTimeout(() => late.resolve(`it took longer than ${timeout} ms`), timeout);
  const stop = () => late.resolve(String(ending?.reason));
  ending?.addEventListener("abort", stop);
  if (ending?.aborted) stop();
  const end = await Promise.race([ended, late.promise]);
  clearTimeout(timer);
  ending?.removeEventListener("abort", stop);
  if (typeof end !== "string") return { code: end[0].code };
  // Not waited for: who left the group and keeps the pipe without reading it would be waited for as long as it lives.
  writer.abort().catch(() => {});
  killGroup(child.pid);
  await withDeadline(GONE_WITHIN_MS, child.status, () => undefined);
  return { failed: `${end} and was ended` };
}

function killGroup(leader: number): void {
  try {
    Deno.kill(-leader, "SIGKILL");
  } catch (error) {
    // It has just ended by itself.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
