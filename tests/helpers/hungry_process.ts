/** A process in a cgroup that holds as much memory as it is fed, and no more. */

import type { RealCgroup } from "./real_cgroup.ts";

export interface HungryProcess extends AsyncDisposable {
  readonly pid: number;
  readonly status: Promise<Deno.CommandStatus>;
  /** Resolves when these bytes are its own memory, but for what a pipe holds; rejects when it dies of them. */
  feed(bytes: number): Promise<void>;
}

/** tail(1) keeps all that it might have to print: an allocator that every Linux has, and whose pid is known. */
const SCRIPT = `
echo 0 > "$1/cgroup.procs"
[ -z "$2" ] || echo "$2" > /proc/self/oom_score_adj
eval "$3"
echo ready
exec tail -c "$4" >/dev/null`;

export interface HungryOptions {
  readonly oomScoreAdj?: number;
  /** What the shell does before it becomes the allocator: `trap "" TERM`, which that inherits. */
  readonly before?: string;
  /** Stands on its command line, and is otherwise of no account as long as it is more than it is fed. */
  readonly most?: number;
}

export async function startHungryProcess(
  cgroup: Pick<RealCgroup, "dir">,
  options: HungryOptions = {},
): Promise<HungryProcess> {
  const { oomScoreAdj = "", before = "", most = 1_000_000_000 } = options;
  const child = new Deno.Command("sh", {
    args: ["-c", SCRIPT, "hungry", cgroup.dir, String(oomScoreAdj), before, String(most)],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const stdin = child.stdin.getWriter();
  const stdout = child.stdout.getReader();
  const { done } = await stdout.read();
  if (done) throw new Error(`cannot start a process in ${cgroup.dir}`);
  await stdout.cancel();
  const chunk = new Uint8Array(65536);
  return {
    pid: child.pid,
    status: child.status,
    async feed(bytes) {
      for (let left = bytes; left > 0; left -= chunk.length) await stdin.write(chunk);
    },
    async [Symbol.asyncDispose]() {
      // Its end may come before or during this; either is fine.
      try {
        child.kill("SIGKILL");
      } catch { /* already gone */ }
      await child.status;
      await stdin.abort().catch(() => {});
    },
  };
}
