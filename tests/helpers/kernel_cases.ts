/** Shared by the tests on a real kernel. */

import { makeRealCgroup, type RealCgroup, whyNoRealCgroup } from "./real_cgroup.ts";
import type { Json } from "./watched.ts";

export const MIB = 1024 ** 2;

const noCgroup = whyNoRealCgroup();

const version = noCgroup === undefined ? await versionHere() : undefined;

async function versionHere(): Promise<1 | 2> {
  await using cgroup = makeRealCgroup("version");
  return cgroup.version;
}

export interface Needs {
  /** The only cgroup version with the tested feature; on the other one the test is not registered. */
  readonly only?: 1 | 2;
  /** Why it cannot run here. */
  readonly why?: string | undefined;
}

/** Registers a test; where it cannot run it is ignored, and its name has the reason. */
export function kernelTest(name: string, run: () => Promise<void>, needs: Needs = {}): void {
  const why = noCgroup ?? needs.why;
  if (version !== undefined && needs.only !== undefined && needs.only !== version) return;
  Deno.test({
    name: why ? `${name} (not run: ${why})` : name,
    ignore: why !== undefined,
    fn: run,
  });
}

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
  const script = `${enter} && x=x && while x=$x$x; do :; done`;
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

export const entering = ({ dir }: Pick<RealCgroup, "dir">) => `echo 0 > "${dir}/cgroup.procs"`;

export const ofType = (events: readonly Json[], type: string): Json[] =>
  events.filter((event) => event.type === type);

export const killOf = (pid: number) => (event: Json) =>
  event.type === "oom_kill" && event.victim?.pid === pid;

export const victimsOf = (events: readonly Json[]): (number | null)[] =>
  ofType(events, "oom_kill").map(({ victim }) => victim?.pid ?? null);
