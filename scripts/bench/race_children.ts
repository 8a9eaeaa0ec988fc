/** Child processes of a race: none of them outlives it. */

const running = new Map<Deno.ChildProcess, Deno.Signal>();

/** @param ending the signal that ends the child when the race is interrupted. */
export function startChild(
  [program, ...args]: readonly string[],
  options: Pick<Deno.CommandOptions, "stdin" | "stdout" | "stderr" | "env">,
  ending: Deno.Signal = "SIGKILL",
): Deno.ChildProcess {
  const child = new Deno.Command(program!, { args, ...options }).spawn();
  running.set(child, ending);
  void child.status.then(() => running.delete(child));
  return child;
}

export function endChild(child: Deno.ChildProcess, signal: Deno.Signal = "SIGKILL"): void {
  try {
    child.kill(signal);
  } catch {
    // It has exited by itself.
  }
}

export function endChildren(): void {
  for (const [child, signal] of running) endChild(child, signal);
}

/** False on a timeout. */
export async function within(ms: number, done: Promise<unknown>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => timer = setTimeout(() => resolve(false), ms));
  try {
    return await Promise.race([done.then(() => true as const), late]);
  } finally {
    clearTimeout(timer);
  }
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
