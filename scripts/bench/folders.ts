/** Folders for benchmarks, removed on every way out; those of a killed run by the next one. */

const PREFIX = "oomkit-bench-";
/** In memory: writeback to a disk would disturb the measurement. */
const SHARED_MEMORY = "/dev/shm";

/** Prefix of the folder names, followed by the pid of the owner. */
export const folderPrefix = `${PREFIX}${Deno.pid}-`;

/** {@link removeBenchFolders} removes it. */
export function makeBenchFolder(): string {
  return Deno.makeTempDirSync({ prefix: folderPrefix });
}

/** This run's folders, and those of earlier runs that were killed. */
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
