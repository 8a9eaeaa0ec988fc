/** Runs a user's command with an event on its stdin. */

import { withDeadline } from "../timing.ts";

/** A killed hook may exit late when the machine is short of memory; it is not waited for longer than this. */
const MAX_MS_TO_EXIT = 1000;

/** Its exit code, or why there is none. */
export type HookEnd = { readonly code: number } | { readonly failed: string };

/** Why it has failed; `undefined` when it has not. */
export function failureOf(end: HookEnd): string | undefined {
  if ("failed" in end) return end.failed;
  if (end.code === 0) return undefined;
  return `it exited with ${end.code}${end.code === 127 ? ": the command was not found" : ""}`;
}

/**
 * The program that a command begins with, where there is none of this name: a mistake in it would be seen only when the command is
 * needed. `undefined` also for what only a shell understands.
 */
export function missingProgram(command: string): string | undefined {
  const [program] = /^\s*[\w./+-]+(?=\s|$)/.exec(command) ?? [];
  if (program === undefined) return undefined;
  if (program.includes("/")) return isExecutable(program.trim()) ? undefined : program.trim();
  try {
    const { success } = new Deno.Command("sh", {
      args: ["-c", 'command -v -- "$0"', program.trim()],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).outputSync();
    return success ? undefined : program.trim();
  } catch {
    // Without a shell no command runs, which is said at the first event.
    return undefined;
  }
}

function isExecutable(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}

/**
 * Runs `sh -c command` with `text` on its stdin, and kills it with everything that it has started when it takes too long. Its
 * oom_score_adj is 0, since the guard has lowered its own.
 *
 * @param timeout milliseconds.
 * @param ending kills it earlier; its reason becomes the failure.
 * @param env in addition to the guard's own environment.
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
      // Its own process group, so that all of it can be killed.
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
  // A hook need not read its stdin.
  const fed = feed().catch(() => {});
  const aborted = Promise.withResolvers<string>();
  const abort = () => aborted.resolve(String(ending?.reason));
  ending?.addEventListener("abort", abort);
  if (ending?.aborted) abort();
  const exited = Promise.race([Promise.all([child.status, fed]), aborted.promise]);
  const end = await withDeadline(timeout, exited, () => `it took longer than ${timeout} ms`);
  ending?.removeEventListener("abort", abort);
  if (typeof end !== "string") return { code: end[0].code };
  // Not awaited: a process that left the group may keep the pipe open unread for as long as it lives.
  writer.abort().catch(() => {});
  killGroup(child.pid);
  await withDeadline(MAX_MS_TO_EXIT, child.status, () => undefined);
  return { failed: `${end} and was killed` };
}

function killGroup(leader: number): void {
  try {
    Deno.kill(-leader, "SIGKILL");
  } catch {
    // It has just exited, or it runs as another user.
  }
}
