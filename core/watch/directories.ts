/**
 * Directories in which cgroups come and go, followed by inotify. `Deno.watchFs` would do it too, but it drops what comes
 * while 16 events wait to be read (denoland/deno issue 11373), and wakes for every control file that changes beneath.
 */

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
