/** Processes that fill a machine, for the emulated one only. */

import { isThere } from "./is_there.ts";

/** Why this machine must not be filled; `undefined` in the emulated one. */
export const whyNotFilled = (): string | undefined =>
  isThere("/guest/settings") ? undefined : "only the emulated machine may be filled";

/** Bytes. */
export function meminfo(name: string): number {
  const text = Deno.readTextFileSync("/proc/meminfo");
  return 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)![1]);
}

/** Processes that the kernel has killed since boot. */
export const machineKills = (): number =>
  Number(/^oom_kill (\d+)$/m.exec(Deno.readTextFileSync("/proc/vmstat"))![1]);

/** A process that allocates until it is killed. */
export function startAllocator(): {
  readonly pid: number;
  readonly status: Promise<Deno.CommandStatus>;
} {
  return new Deno.Command("tail", {
    args: ["/dev/zero"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}
