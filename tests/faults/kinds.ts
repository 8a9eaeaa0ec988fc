/**
 * The faults of a read.
 *
 * A kernel never tears a control file: it writes a value or table into one buffer, enlarges the buffer until all fits, and returns
 * it in one read that is large enough (fs/seq_file.c, seq_read_iter, with one record; fs/kernfs/file.c, kernfs_seq_start). Only
 * lists (cgroup.procs, mountinfo) arrive in pieces, of whole lines. So half a number comes from a copied tree, a file system in
 * user space or a buffer that is too small, and is detected by the missing newline, which the kernel never omits. Not
 * detectable: another number with its newline, a table that ends early with a whole line, a command line that is cut off,
 * which has no terminator.
 */

import type { Fault, Moment } from "./injection.ts";

/** The errno values that mean "absent", which the program need not report: see `core/cgroup/files.ts`. */
const ABSENT = new Set([2, 3, 19, 20, 95]);

export const isAbsence = ({ errno }: Fault) => errno !== undefined && ABSENT.has(errno);

/** At least one of each kind that the program distinguishes. */
const ERRNOS: Readonly<Record<Moment, readonly number[]>> = {
  // ENOENT, EIO, EACCES
  look: [2, 5, 13],
  // ENOENT, ENOMEM, EACCES, ENOSPC
  watch: [2, 12, 13, 28],
  // EPERM, ENOENT, EACCES, EBUSY, EROFS, ENOTEMPTY
  remove: [1, 2, 13, 16, 30, 39],
  // ENOENT, EIO, EACCES, ENODEV, EMFILE
  open: [2, 5, 13, 19, 24],
  // ENOMEM, ENFILE, EMFILE
  create: [12, 23, 24],
  // EINVAL, ESPIPE
  seek: [22, 29],
  // EPERM of a file without poll, ENOMEM, ENOSPC
  add: [1, 12, 28],
  // EACCES, ENODEV, EINVAL, EOPNOTSUPP
  write: [13, 19, 22, 95],
  // ESRCH, EINTR, EIO, EAGAIN, ENODEV, EOPNOTSUPP
  read: [3, 4, 5, 11, 19, 95],
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const onText = (alter: (text: string) => string) => (bytes: Uint8Array) =>
  encoder.encode(alter(decoder.decode(bytes)));

/** Cuts within the last number of two digits or more; without one, cuts the newline. */
function tear(text: string): string {
  const last = [...text.matchAll(/\d{2,}/g)].at(-1);
  return last ? text.slice(0, last.index + Math.ceil(last[0].length / 2)) : text.slice(0, -1);
}

/** The first half of the lines. */
function cut(text: string): string {
  const lines = text.split(/(?<=\n)/);
  return lines.slice(0, Math.floor(lines.length / 2)).join("");
}

const read = (name: string, alter: NonNullable<Fault["alter"]>): Fault => ({
  name,
  moment: "read",
  alter,
});

/** Texts that no kernel wrote, and a short read, which is valid. */
const TEXTS: readonly Fault[] = [
  read("empty", () => new Uint8Array()),
  read("torn at the end", onText(tear)),
  read("torn in the middle", onText((text) => text.slice(0, text.length / 2).trimEnd())),
  read("without its newline", (bytes) => bytes.slice(0, -1)),
  read("cut after a line", onText(cut)),
  read(
    "garbage",
    () => Uint8Array.of(0xff, 0, 0x6d, 0x39, 0x39, 0x39, 0xc3, 0x0a, 0x1b, 0x5b, 0x0a),
  ),
  read("a number and more", onText((text) => `9${text.trimEnd()}x\n`)),
  read("a number too long", () => encoder.encode("999999999999999999999999\n")),
  read("below zero", () => encoder.encode("-1\n")),
  read("almost max", () => encoder.encode("maximum\n")),
  { name: "short", moment: "read", most: 3 },
];

const MAY_BE_EMPTY = /\/(cgroup\.procs|memory\.pressure)$/;
const TABLE = /\/(memory\.(stat|events|events\.local|oom_control|pressure)|cgroup\.events)$/;

/**
 * Faults that no reader can detect: invalid lines of a table may be a later kernel's, and oom_score_adj may be negative.
 */
export function isUndetectable({ name }: Fault, path: string): boolean {
  return name === "cut after a line" || name === "short" ||
    (name === "empty" && MAY_BE_EMPTY.test(path)) ||
    (name === "a number and more" && TABLE.test(path)) ||
    (name === "below zero" && path.endsWith("/oom_score_adj"));
}

export function faultsAt(moment: Moment): Fault[] {
  const errnos = ERRNOS[moment].map((errno): Fault => ({
    name: `errno ${errno}`,
    moment,
    errno,
  }));
  return moment === "read" ? [...errnos, ...TEXTS] : errnos;
}
