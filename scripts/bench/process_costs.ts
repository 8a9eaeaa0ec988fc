/** Costs of a running process: memory, CPU time and descriptors, from /proc. */

export interface Costs {
  /** Anonymous and resident bytes: proc(5), RssAnon and VmRSS. */
  readonly anonymous: number;
  readonly resident: number;
  readonly descriptors: number;
  readonly epollEntries: number;
  readonly inotifyWatches: number;
}

/** The unit of /proc on every architecture (kernel: USER_HZ). */
const TICKS_PER_SECOND = 100;

/** User and system time of all threads, exited ones included: proc(5), fields 14 and 15. */
export function cpuSeconds(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export function costsOf(pid: number): Costs {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const bytes = (name: string) =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
  const descriptors = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => name);
  // proc_pid_fdinfo(5): a line for each entry of an epoll set or inotify instance.
  const lines = descriptors.flatMap((fd) => textOf(`/proc/${pid}/fdinfo/${fd}`).split("\n"));
  const count = (start: string) => lines.filter((line) => line.startsWith(start)).length;
  return {
    anonymous: bytes("RssAnon"),
    resident: bytes("VmRSS"),
    descriptors: descriptors.length,
    epollEntries: count("tfd:"),
    inotifyWatches: count("inotify wd:"),
  };
}

function textOf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    // Closed since it was listed.
    return "";
  }
}
