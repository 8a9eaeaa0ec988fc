/** inotify(7). Not recursive: each directory needs its own watch. */

import { check, cString, libc } from "./libc.ts";
import { type Fd, own, readInto } from "./fd.ts";
import { decodeName } from "../names.ts";

export const IN_MODIFY = 0x2;
const IN_MOVED_FROM = 0x40;
const IN_MOVED_TO = 0x80;
const IN_CREATE = 0x100;
const IN_DELETE = 0x200;
export const IN_Q_OVERFLOW = 0x4000;
const IN_ONLYDIR = 0x1000000;
export const IN_ISDIR = 0x40000000;
/** An entry of a directory was created or removed. */
export const CREATED_OR_REMOVED = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;

export interface InotifyEvent {
  /** The watch that `addWatch` returned; -1 on overflow. */
  readonly watch: number;
  readonly mask: number;
  /** Of the entry that changed in a watched directory; "" for a watched file itself. */
  readonly name: string;
}

/** A non-blocking inotify instance. Throws `SystemCallError`; EMFILE beyond fs.inotify.max_user_instances. */
export const openInotify = (): Fd =>
  own(check(libc().inotify_init1(0o2004000), "inotify_init1", "instance"), "inotify");

/** Throws `SystemCallError`; ENOSPC beyond fs.inotify.max_user_watches. */
export function addWatch(inotify: Fd, path: string, mask: number): number {
  return check(
    libc().inotify_add_watch(inotify.number, cString(path), mask),
    "inotify_add_watch",
    path,
  );
}

/** Does nothing if the kernel has removed the watch already. */
export function removeWatch(inotify: Fd, watch: number): void {
  libc().inotify_rm_watch(inotify.number, watch);
}

const buffer = new Uint8Array(16 * 1024);
const view = new DataView(buffer.buffer);
const NAME_OFFSET = 16;

/** All pending events. */
export function readInotify(inotify: Fd): InotifyEvent[] {
  const events: InotifyEvent[] = [];
  for (let n = readInto(inotify, buffer); n !== undefined && n > 0; n = readInto(inotify, buffer)) {
    // struct inotify_event: int wd; u32 mask, cookie, len; char name[len]
    for (let at = 0; at + NAME_OFFSET <= n;) {
      const end = at + NAME_OFFSET + view.getUint32(at + 12, true);
      // Padded with NULs to the alignment of the next event.
      const name = decodeName(buffer.subarray(at + NAME_OFFSET, end)).replace(/\0+$/, "");
      events.push({ watch: view.getInt32(at, true), mask: view.getUint32(at + 4, true), name });
      at = end;
    }
  }
  return events;
}
