/** A process in a cgroup that holds exactly as much memory as it is given. */

import type { RealCgroup } from "./real_cgroup.ts";

export interface HungryProcess extends AsyncDisposable {
  readonly pid: number;
  readonly status: Promise<Deno.CommandStatus>;
  /** Resolves when the process holds these bytes, except for what the pipe holds; rejects when it is killed meanwhile. */
  feed(bytes: number): Promise<void>;
}

/** tail(1) keeps everything that it might have to print: an allocator that every Linux has, with a known pid. */
const SCRIPT = `
echo 0 > "$1/cgroup.procs"
[ -z "$2" ] || echo "$2" > /proc/self/oom_score_adj
eval "$3"
echo ready
exec tail -c "$4" >/dev/null`;

export interface HungryOptions {
  readonly oomScoreAdj?: number;
  /** Shell code to run before the allocator is executed, such as `trap "" TERM`, which the allocator inherits. */
  readonly before?: string;
  /** Bytes that tail(1) keeps at most; must exceed what it is fed. Visible on its command line. */
  readonly maxBytes?: number;
}

export async function startHungryProcess(
  cgroup: Pick<RealCgroup, "dir">,
  options: HungryOptions = {},
): Promise<HungryProcess> {
  const { oomScoreAdj = "", before = "", maxBytes = 1_000_000_000 } = options;
  const child = new Deno.Command("sh", {
    args: ["-c", SCRIPT, "hungry", cgroup.dir, String(oomScoreAdj), before, String(maxBytes)],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const stdin = child.stdin.getWriter();
  const stdout = child.stdout.getReader();
  const { done } = await stdout.read();
  if (done) throw new Error(`cannot start a process in ${cgroup.dir}`);
  await stdout.cancel();
  // Pages of zeros are dropped instead of swapped since Linux 6.12 (mm/huge_memory.c, try_to_map_unused_to_zeropage).
  const chunk = new Uint8Array(65536).fill(1);
  return {
    pid: child.pid,
    status: child.status,
    async feed(bytes) {
      for (let left = bytes; left > 0; left -= chunk.length) await stdin.write(chunk);
    },
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch { /* it has exited */ }
      await child.status;
      await stdin.abort().catch(() => {});
    },
  };
}
