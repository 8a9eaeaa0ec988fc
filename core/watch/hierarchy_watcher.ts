/**
 * Directories in which cgroups come and go, followed by inotify. `Deno.watchFs` would do it too, but it drops what comes
 * while 16 events wait to be read (denoland/deno issue 11373), and wakes for every control file that changes beneath.
 */

import { type Cgroup, isThere, parentOf } from "../cgroup/cgroup.ts";
import type { Fd } from "../kernel/fd.ts";
import {
  addWatch,
  IN_CREATE,
  IN_DELETE,
  IN_ISDIR,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_ONLYDIR,
  type InotifyEvent,
  removeWatch,
} from "../kernel/inotify.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { reasonOf } from "./triggers.ts";
import type { WatchOptions } from "./watch.ts";

export interface Directories {
  /** Throws `SystemCallError`; ENOENT when it is gone. The returned function ends it. */
  follow(dir: string): () => void;
  /** The directory that came or went; `undefined` for anything else. */
  changed(event: InotifyEvent): string | undefined;
}

const COME_AND_GO = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;

export function createDirectories(inotify: Fd): Directories {
  /** By watch, so that a directory of the same name that is made later has its own. */
  const followed = new Map<number, string>();
  return {
    follow(dir) {
      const watch = addWatch(inotify, dir, COME_AND_GO);
      followed.set(watch, dir);
      return () => {
        if (followed.delete(watch)) removeWatch(inotify, watch);
      };
    },
    changed({ watch, mask, name }) {
      const dir = followed.get(watch);
      return dir !== undefined && mask & IN_ISDIR && name !== "" ? `${dir}/${name}` : undefined;
    },
  };
}

/*
 * Cgroups that come and go, through `Deno.watchFs`, where there is no inotify instance of our own: its events are hints to
 * look, nothing more, and some are dropped (see directories.ts).
 */

export interface FolderWatcher {
  /** Resolves when it has ended. */
  readonly done: Promise<void>;
  close(): void;
}

/**
 * Calls `hint` with the directory of every change beneath `dirs`, and with `undefined` when the kernel dropped events and
 * everything has to be looked at. Throws what `Deno.watchFs` throws: NotFound, or an Error when inotify's limits are met.
 */
export function watchTree(
  dirs: readonly string[],
  recursive: boolean,
  hint: (dir: string | undefined) => void,
): FolderWatcher {
  const watcher = Deno.watchFs([...dirs], { recursive });
  const follow = async () => {
    for await (const event of watcher) {
      if (event.flag === "rescan") hint(undefined);
      else if (event.kind === "create" || event.kind === "remove" || event.kind === "rename") {
        for (const path of event.paths) hint(path);
      }
    }
  };
  return { done: follow(), close: () => watcher.close() };
}

/* Who tells of cgroups that come and go: inotify, `Deno.watchFs` where there is no instance of it, or nobody. */

export interface HierarchyWatcher {
  readonly source: "inotify" | "watchfs";
  /** Whether nothing comes or goes unheard, as far as the kernel says. */
  reportsAllChanges(): boolean;
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
  let reportsAllChanges = directories !== undefined;
  const refused = (cgroup: string, error: unknown) => {
    reportsAllChanges = false;
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
    reportsAllChanges: () => reportsAllChanges,
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
