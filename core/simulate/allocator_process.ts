/** The parent's side of an allocator: starts the process, reads its progress, waits for its exit. */

import { type Allocation, parseProgress, type Progress } from "./allocator_protocol.ts";

export interface AllocatorExit {
  readonly pid: number;
  /** As a shell reports it: 137 after SIGKILL. */
  readonly code: number;
  readonly signal: Deno.Signal | null;
  /** The last line on its stderr. */
  readonly errorText?: string;
}

export class AllocatorProcess {
  readonly #child: Deno.ChildProcess;
  readonly #ready = Promise.withResolvers<boolean>();
  /** Resolves after all progress has been passed on. Rejects with what `onProgress` throws. */
  readonly exit: Promise<AllocatorExit>;

  /**
   * @param program the words that start this program.
   * @param onProgress called for each line, in order.
   */
  constructor(
    program: readonly string[],
    allocation: Allocation,
    onProgress: (pid: number, progress: Progress) => void,
  ) {
    const [command, ...words] = program;
    this.#child = new Deno.Command(command!, {
      args: [...words, "__allocate", JSON.stringify(allocation)],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.exit = this.#run(onProgress);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Resolves to true when the process is warmed up and waits; to false when it exited instead. */
  get ready(): Promise<boolean> {
    return this.#ready.promise;
  }

  /** Lets the process move into its cgroup and allocate. */
  async begin(): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    // A process that is gone already is reported by `exit`.
    await writer.write(new TextEncoder().encode("go\n")).catch(() => {});
    writer.releaseLock();
  }

  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // Gone already.
    }
  }

  async #run(onProgress: (pid: number, progress: Progress) => void): Promise<AllocatorExit> {
    const { pid, stdin, stdout, stderr, status } = this.#child;
    const errorText = lastLine(stderr);
    // Not one after the other: what `onProgress` throws must end the simulation while the allocator still runs.
    const [{ code, signal }] = await Promise.all([status, this.#readProgress(stdout, onProgress)]);
    this.#ready.resolve(false);
    await stdin.close().catch(() => {});
    const last = await errorText;
    return { pid, code, signal, ...(last !== undefined && { errorText: last }) };
  }

  async #readProgress(
    stdout: ReadableStream<Uint8Array>,
    onProgress: (pid: number, progress: Progress) => void,
  ): Promise<void> {
    for await (const line of linesOf(stdout)) {
      const progress = parseProgress(line);
      if (progress === undefined) continue;
      onProgress(this.pid, progress);
      if (progress.type === "ready") this.#ready.resolve(true);
    }
  }
}

async function lastLine(stream: ReadableStream<Uint8Array>): Promise<string | undefined> {
  let last: string | undefined;
  for await (const line of linesOf(stream)) if (line !== "") last = line;
  return last;
}

/** Lines without their ends; what follows the last newline counts as one. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  // Not TextDecoderStream: its two additional queues cost more than the reading, and delay the watch on the same thread.
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}
