/** Shared by the tests on a real kernel. */

import { isThere } from "./is_there.ts";
import { makeRealCgroup, type RealCgroup, whyNoRealCgroup } from "./real_cgroup.ts";
import type { Json } from "./watched.ts";

export const MIB = 1024 ** 2;

const noCgroup = whyNoRealCgroup();

const here = noCgroup === undefined ? await kernelHere() : undefined;

/** What differs between the kernels on which the tests run: docs/kernels.md. */
interface KernelHere {
  readonly version: 1 | 2;
  /** It keeps the highest usage of a cgroup: v1, and v2 since Linux 5.19. */
  readonly keepsPeak: boolean;
  /** It counts group kills: `oom_group_kill` in memory.events, since Linux 5.17. */
  readonly countsGroupKills: boolean;
}

async function kernelHere(): Promise<KernelHere> {
  await using cgroup = makeRealCgroup("version");
  const { version } = cgroup;
  return {
    version,
    keepsPeak: isThere(
      `${cgroup.dir}/${version === 1 ? "memory.max_usage_in_bytes" : "memory.peak"}`,
    ),
    countsGroupKills: version === 2 && /^oom_group_kill /m.test(cgroup.read("memory.events")),
  };
}

export const keepsPeak = here?.keepsPeak ?? false;
export const countsGroupKills = here?.countsGroupKills ?? false;

export interface Needs {
  /** The only cgroup version with the tested feature; on the other one the test is not registered. */
  readonly only?: 1 | 2;
  /** Why it cannot run here. */
  readonly why?: string | undefined;
}

/** Registers a test; where it cannot run it is ignored, and its name has the reason. */
export function kernelTest(name: string, run: () => Promise<void>, needs: Needs = {}): void {
  const why = noCgroup ?? needs.why;
  if (here !== undefined && needs.only !== undefined && needs.only !== here.version) return;
  Deno.test({
    name: why ? `${name} (not run: ${why})` : name,
    ignore: why !== undefined,
    fn: run,
  });
}

/**
 * Whether this is a guest beside a host that runs the tests of its own version: scripts/test_stages/kernels.ts. Without the prefix of
 * oomkit's variables, of which it refuses those that it does not know.
 */
const isBesideHost = Deno.env.has("BESIDE_HOST");

/** Registers a test of what no cgroup version changes, which the host runs where there is a guest beside it. */
export const anyVersionTest: typeof kernelTest = (...test) => {
  if (!isBesideHost) kernelTest(...test);
};

/** Runs a process that allocates in the cgroup until it is killed. */
export async function allocateUntilKilled(
  cgroup: Pick<RealCgroup, "dir">,
): Promise<{ pid: number; code: number }> {
  const child = new Deno.Command("sh", {
    args: ["-c", `echo 0 > "${cgroup.dir}/cgroup.procs" && exec tail /dev/zero`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const { code } = await child.status;
  return { pid: child.pid, code };
}

export interface FaultingProcess extends AsyncDisposable {
  readonly pid: number;
  readonly status: Promise<Deno.CommandStatus>;
}

/**
 * A process that fills the cgroup by page faults alone. With the OOM killer disabled (v1) it waits at the limit, where a system call
 * that needs memory, as of tail(1), fails with EFAULT or ENOMEM.
 *
 * @param enter shell code that moves the shell to the cgroup.
 */
export function startFaultingProcess(enter: string): FaultingProcess {
  const script = `${enter} && ${FAULT}`;
  const { pid, status } = new Deno.Command("sh", {
    args: ["-c", script],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return {
    pid,
    status,
    async [Symbol.asyncDispose]() {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch { /* it has exited */ }
      await status;
    },
  };
}

/**
 * As {@link allocateUntilKilled}, by page faults alone: for a guard that disables the OOM killer, and may be late on a busy machine.
 */
export async function faultUntilKilled(
  cgroup: Pick<RealCgroup, "dir">,
): Promise<{ pid: number; code: number }> {
  await using process = startFaultingProcess(entering(cgroup));
  return { pid: process.pid, code: (await process.status).code };
}

/** What {@link startFaultingProcess} runs. */
export const FAULT = "x=x && while x=$x$x; do :; done";

export const entering = ({ dir }: Pick<RealCgroup, "dir">) => `echo 0 > "${dir}/cgroup.procs"`;

export const ofType = (events: readonly Json[], type: string): Json[] =>
  events.filter((event) => event.type === type);

export const killOf = (pid: number) => (event: Json) =>
  event.type === "oom_kill" && event.victim?.pid === pid;

export const victimsOf = (events: readonly Json[]): (number | null)[] =>
  ofType(events, "oom_kill").map(({ victim }) => victim?.pid ?? null);
