/** What a ward is looked at by: files that stay open while descriptors are to spare, and are opened at each look where not. */

import type { Cgroup } from "../cgroup/cgroup.ts";
import { withinFdBudget } from "../kernel/descriptors.ts";
import { type Fd, inodeOfFd, openDirectory } from "../kernel/fd.ts";
import {
  type ControlFile,
  type LazyControlFile,
  type OpenControlFile,
  openControlFileIn,
  openLazily,
  reopenOnRead,
} from "../kernel/kept_file.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { tooFewDescriptors } from "../watch/describe.ts";

export interface ControlFiles {
  /** The very cgroup that was named, also when another takes its name; `undefined` where descriptors are not to spare. */
  readonly directory: Fd | undefined;
  readonly usageFile: ControlFile;
  /** memory.stat, which rests where usage is far from any level. */
  readonly statFile: LazyControlFile;
  /** v2 memory.events, for the epoll set; read to be woken again. */
  readonly events: OpenControlFile | undefined;
}

/** `undefined` when the cgroup is gone, or another has its name. Throws `SystemCallError` when none can be opened at all. */
export function openControlFiles(limitOwner: Cgroup): ControlFiles | undefined {
  const { dir, hierarchy: { version, kernel } } = limitOwner;
  const opened: { close(): void }[] = [];
  const keep = <T extends { close(): void }>(file: T): T => {
    opened.push(file);
    return file;
  };
  try {
    const directory = keep(openDirectory(dir));
    if (inodeOfFd(directory) !== limitOwner.inode) return closeAll(opened);
    // A plain file of that name tells nothing, and epoll_ctl(2) refuses it.
    const events = version.number === 2 && kernel ? openEvents(directory, keep) : undefined;
    if (withinFdBudget(directory, "speed")) {
      const usageFile = keep(openControlFileIn(directory, version.usageFile));
      const statFile = openLazily(directory, "memory.stat");
      return { directory, usageFile, statFile, events };
    }
    directory.close();
    const usageFile = reopenOnRead(`${dir}/${version.usageFile}`);
    const statFile = reopenOnRead(`${dir}/memory.stat`);
    return { directory: undefined, usageFile, statFile, events };
  } catch (error) {
    closeAll(opened);
    if (error instanceof SystemCallError && !isShortage(error)) return undefined;
    throw error;
  }
}

/** What is wanted, what it is instead, and why. */
export function fdShortage(): readonly [string, string, string] {
  return ["files that stay open", "files opened at each look", tooFewDescriptors()];
}

export function closeControlFiles({ directory, usageFile, statFile, events }: ControlFiles): void {
  for (const file of [events, statFile, usageFile, directory]) file?.close();
}

const isShortage = ({ code }: SystemCallError) => code === "EMFILE" || code === "ENFILE";

function closeAll(files: readonly { close(): void }[]): undefined {
  for (const file of files) file.close();
}

/** The root has none. */
function openEvents(
  directory: Fd,
  keep: <T extends { close(): void }>(file: T) => T,
): OpenControlFile | undefined {
  try {
    const file = openControlFileIn(directory, "memory.events");
    if (withinFdBudget(file.fd, "notification")) return keep(file);
    file.close();
    return undefined;
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}
