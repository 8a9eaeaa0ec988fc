/** inotify(7), without a recursion of its own: who watches decides what. */

import { check, cString, libc } from "./libc.ts";
import { type Fd, own, readInto } from "./fd.ts";

export const IN_MODIFY = 0x2;
export const IN_IGNORED = 0x8000;
export const IN_Q_OVERFLOW = 0x4000;

export interface InotifyEvent {
  /** The watch that `addWatch` returned; -1 on overflow. */
  readonly watch: number;
  readonly mask: number;
}

/** A non-blocking inotify instance. Throws `SystemCallError`; EMFILE beyond fs.inotify.max_user_instances. */
export function openInotify(): Fd {
  return own(check(libc().inotify_init1(0o2004000), "inotify_init1", "instance"), "inotify");
}

/** Throws `SystemCallError`; ENOSPC beyond fs.inotify.max_user_watches. */
export function addWatch(inotify: Fd, path: string, mask: number): number {
  return check(
    libc().inotify_add_watch(inotify.number, cString(path), mask),
    "inotify_add_watch",
    path,
  );
}

/** Harmless when the kernel has dropped the watch already. */
export function removeWatch(inotify: Fd, watch: number): void {
  libc().inotify_rm_watch(inotify.number, watch);
}

const buffer = new Uint8Array(16 * 1024);
const view = new DataView(buffer.buffer);

/** Everything that waits; empty when nothing does. */
export function readInotify(inotify: Fd): InotifyEvent[] {
  const events: InotifyEvent[] = [];
  for (let n = readInto(inotify, buffer); n !== undefined && n > 0; n = readInto(inotify, buffer)) {
    // struct inotify_event: int wd; u32 mask, cookie, len; char name[len]
    for (let at = 0; at + 16 <= n; at += 16 + view.getUint32(at + 12, true)) {
      events.push({ watch: view.getInt32(at, true), mask: view.getUint32(at + 4, true) });
    }
  }
  return events;
}
