/** Who tells of cgroups that come and go: inotify, `Deno.watchFs` where there is no instance of it, or nobody. */

import { type Cgroup, isThere, parentOf } from "../cgroup/cgroup.ts";
import type { Fd } from "../kernel/fd.ts";
import type { InotifyEvent } from "../kernel/inotify.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { reasonOf } from "./describe.ts";
import { createDirectories } from "./directories.ts";
import { type FolderWatcher, watchTree } from "./tree_changes.ts";
import type { WatchOptions } from "./watch.ts";

export interface HierarchyWatcher {
  readonly source: "inotify" | "watchfs";
  /** Whether nothing comes or goes unheard, as far as the kernel says. */
  tellsAll(): boolean;
  /** What goes on beside the targets and, with watchFs, beneath them; watchFs calls `hint`. */
  start(hint: (dir: string | undefined) => void): void;
  /** Children of `cgroup` from now on; the returned function ends it. */
  follow(cgroup: Cgroup): (() => void) | undefined;
  /** The directory of a cgroup that came or went; `undefined` when the event is of something else. */
  changed(event: InotifyEvent): string | undefined;
  close(): Promise<void>;
}

const WHAT = "cgroups that come and go";

export function createHierarchyWatcher(
  { targets, recursive }: WatchOptions,
  inotify: Fd | undefined,
  describe: (line: string) => void,
  refuse: (cgroup: string, requested: string, fallback: string, reason: string) => void,
): HierarchyWatcher {
  const directories = inotify && createDirectories(inotify);
  const watchers: FolderWatcher[] = [];
  let tellsAll = directories !== undefined;
  const refused = (cgroup: string, error: unknown) => {
    tellsAll = false;
    refuse(cgroup, WHAT, "a sweep every 30 s", reasonOf(error));
  };

  const follow = (cgroup: Cgroup): (() => void) | undefined => {
    try {
      const leave = directories?.follow(cgroup.dir);
      if (leave) describe(`${WHAT}: inotify`);
      return leave;
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      if (isThere(cgroup)) refused(cgroup.path, error);
      return undefined;
    }
  };

  const watchFs = (
    cgroups: readonly Cgroup[],
    recursive: boolean,
    hint: (dir: string | undefined) => void,
  ) => {
    try {
      watchers.push(watchTree(cgroups.map(({ dir }) => dir), recursive, hint));
      describe(`${WHAT}: watchFs`);
    } catch (error) {
      refused(cgroups[0]!.path, error);
    }
  };

  return {
    source: directories ? "inotify" : "watchfs",
    tellsAll: () => tellsAll,
    start(hint) {
      const parents = targets.flatMap((target) => parentOf(target) ?? []);
      if (directories) return parents.forEach(follow);
      if (recursive) watchFs(targets, true, hint);
      if (parents.length > 0) watchFs(parents, false, hint);
    },
    follow,
    changed: (event) => directories?.changed(event),
    async close() {
      for (const watcher of watchers) watcher.close();
      await Promise.all(watchers.map(({ done }) => done));
    },
  };
}
