/** Folders to measure in, removed on every way out; of one that was killed, by the next. */

const PREFIX = "oomkit-bench-";
/** Not on a disk, whose writeback would take part in what is measured. */
const SHARED_MEMORY = "/dev/shm";

/** The name of a folder begins with it: whose it is can be told from that. */
export const folderPrefix = `${PREFIX}${Deno.pid}-`;

/** {@link removeBenchFolders} takes it away. */
export function makeBenchFolder(): string {
  return Deno.makeTempDirSync({ prefix: folderPrefix });
}

/** Ours, and what an earlier run left when it was killed. */
export function removeBenchFolders(): void {
  const temporary = Deno.env.get("TMPDIR") ?? "/tmp";
  for (const parent of new Set([SHARED_MEMORY, temporary])) {
    for (const name of namesIn(parent)) {
      const pid = Number(/^oomkit-bench-(\d+)-/.exec(name)?.[1] ?? NaN);
      if (pid === Deno.pid || (Number.isSafeInteger(pid) && !isRunning(pid))) {
        Deno.removeSync(`${parent}/${name}`, { recursive: true });
      }
    }
  }
}

function namesIn(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].map(({ name }) => name);
  } catch {
    return [];
  }
}

export function isRunning(pid: number): boolean {
  try {
    Deno.statSync(`/proc/${pid}`);
    return true;
  } catch {
    return false;
  }
}
