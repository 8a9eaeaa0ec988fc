/** The parent's side of an allocator: starts it, hears it, sees how it ends. */

import { linesOf } from "./text_lines.ts";
import type { Allocation, Progress } from "./allocation.ts";
import { parseProgress } from "./progress.ts";

export interface Exit {
  readonly pid: number;
  /** As a shell tells it: 137 after SIGKILL. */
  readonly code: number;
  readonly signal: Deno.Signal | null;
  /** The last line on its stderr. */
  readonly warningText?: string;
}

export interface Allocator {
  readonly pid: number;
  /** Resolves to true when it is warmed up and waits; to false when it ended instead. */
  readonly ready: Promise<boolean>;
  /** Lets it move in and begin. */
  begin(): Promise<void>;
  /** All of its progress was told before. Rejects with what `tell` throws. */
  readonly exit: Promise<Exit>;
  kill(): void;
}

/**
 * @param program the words that start this program.
 * @param tell called for each line, in order.
 */
export function startAllocator(
  program: readonly string[],
  allocation: Allocation,
  emitEvent: (pid: number, progress: Progress) => void,
): Allocator {
  const [command, ...words] = program;
  const child = new Deno.Command(command!, {
    args: [...words, "__allocate", JSON.stringify(allocation)],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const ready = Promise.withResolvers<boolean>();
  const heard = evaluateLevels(child, (progress) => {
    emitEvent(child.pid, progress);
    if (progress.what === "ready") ready.resolve(true);
  });
  const warningText = lastLine(child.stderr);
  const exit = (async () => {
    // What `tell` throws must end the simulation at once, not when the allocator has ended.
    const [{ code, signal }] = await Promise.all([child.status, heard]);
    ready.resolve(false);
    await child.stdin.close().catch(() => {});
    const last = await warningText;
    return { pid: child.pid, code, signal, ...(last === undefined ? {} : { warningText: last }) };
  })();
  return {
    pid: child.pid,
    ready: ready.promise,
    exit,
    async begin() {
      const writer = child.stdin.getWriter();
      // It may be gone already; its exit tells.
      await writer.write(new TextEncoder().encode("go\n")).catch(() => {});
      writer.releaseLock();
    },
    kill() {
      try {
        child.kill("SIGKILL");
      } catch {
        // Gone already.
      }
    },
  };
}

async function evaluateLevels(
  child: Deno.ChildProcess,
  emitEvent: (progress: Progress) => void,
): Promise<void> {
  for await (const line of linesOf(child.stdout)) {
    const progress = parseProgress(line);
    if (progress) emitEvent(progress);
  }
}

async function lastLine(stream: ReadableStream<Uint8Array>): Promise<string | undefined> {
  let last: string | undefined;
  for await (const line of linesOf(stream)) if (line !== "") last = line;
  return last;
}
