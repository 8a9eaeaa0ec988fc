/** The open files of a program, to name those that it leaks. */

/** How many descriptors lead to each, as proc_pid_fd(5) names it; numbers of pipes and sockets are left out. */
export function openFiles(pid: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    const target = targetOf(`/proc/${pid}/fd/${name}`);
    if (target !== undefined) counts.set(target, (counts.get(target) ?? 0) + 1);
  }
  return counts;
}

/** @returns the files that are open more often now, with the difference. */
export function added(
  before: ReadonlyMap<string, number>,
  now: ReadonlyMap<string, number>,
): string {
  return [...now].filter(([target, count]) => count > (before.get(target) ?? 0))
    .map(([target, count]) => `${count - (before.get(target) ?? 0)} × ${target}`).join(", ");
}

/** Each of the two threads of a guard keeps the files of its last 16 reclaim requests open (core/control/reclaim.ts). */
export const MAX_ORDERS = 32;

/** How many of these are open. */
export function openOrders(files: ReadonlyMap<string, number>): number {
  return [...files].filter(([target]) =>
    /\/memory\.(?:reclaim|force_empty)(?: \(deleted\))?$/.test(target)
  ).reduce((sum, [, count]) => sum + count, 0);
}

function targetOf(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path).replace(/\[\d+\]$/, "");
  } catch {
    // Closed since it was listed.
    return undefined;
  }
}
