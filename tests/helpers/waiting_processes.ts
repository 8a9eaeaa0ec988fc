/** Processes that wait until they are disposed of, also when they were killed before. */

import { tryReadText } from "../../core/cgroup/files.ts";

export interface WaitingProcesses<Pids extends readonly number[]> extends AsyncDisposable {
  readonly pids: Pids;
}

export function startWaitingProcesses<Pids extends readonly number[] = readonly [number, number]>(
  count = 2,
): WaitingProcesses<Pids> {
  const options = { stdin: "piped", stdout: "null" } as const;
  const children = Array.from({ length: count }, () => new Deno.Command("cat", options).spawn());
  return {
    pids: children.map(({ pid }) => pid) as readonly number[] as Pids,
    async [Symbol.asyncDispose]() {
      for (const child of children) {
        try {
          child.kill("SIGKILL");
        } catch {
          // It was killed before.
        }
      }
      await Promise.all(children.map(({ status, stdin }) => status.then(() => stdin.close())));
    },
  };
}

/** A process that has just been started has no command line for a moment (kernel, fs/exec.c, begin_new_exec). */
export const hasStarted = (pid: number) => (): boolean =>
  Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0").length > 1;

export const isRunning = (pid: number): boolean =>
  /^State:\t[^ZX]/m.test(tryReadText(`/proc/${pid}/status`) ?? "");
