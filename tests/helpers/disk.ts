/** Where tests put files for page cache that can be reclaimed. */

/** The types of tmpfs and ramfs in statfs(2); a root file system in memory is one of them. */
const MEMORY_ONLY = ["1021994", "858458f6"];

/** The files of an initramfs or a tmpfs cannot be reclaimed. */
function isOnDisk(dir: string): boolean {
  const { success, stdout } = new Deno.Command("stat", { args: ["-f", "-c", "%t", dir] })
    .outputSync();
  return success && !MEMORY_ONLY.includes(new TextDecoder().decode(stdout).trim());
}

/** A directory on a disk; `undefined` where there is none. */
export const disk = Deno.build.os === "linux"
  ? ["/disk", "/tmp", "/var/tmp"].find(isOnDisk)
  : undefined;

/** Why a test that needs it cannot run. */
export const withoutDisk = disk === undefined
  ? "there is no disk here with a page cache to reclaim"
  : undefined;
