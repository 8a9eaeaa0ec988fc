/** `/proc/PID/mountinfo` (proc(5); kernel: fs/proc_namespace.c). */

import { wholeLines } from "./cgroupfs.ts";

export interface Mount {
  readonly id: number;
  readonly parentId: number;
  /** The mounted part of the file system; for a cgroup outside this cgroup namespace a path such as `/../..`. */
  readonly root: string;
  readonly mountPoint: string;
  readonly options: readonly string[];
  readonly fsType: string;
  readonly source: string;
  /** Of the file system; for cgroup v1 they include the controllers. */
  readonly superOptions: readonly string[];
}

/** Decodes `\040` and the like: the kernel escapes blanks, tabs, newlines, backslashes and `#`. */
function unescapeOctal(text: string): string {
  return text.replace(
    /\\([0-3][0-7]{2})/g,
    (_, digits) => String.fromCharCode(parseInt(digits, 8)),
  );
}

function parseLine(line: string): Mount | undefined {
  // id parent major:minor root mount-point options [optional…] - type source super-options
  const fields = line.split(" ");
  const separator = fields.indexOf("-", 6);
  if (separator < 0) return undefined;
  const [id, parentId, , root, mountPoint, options] = fields;
  const [fsType, source, superOptions] = fields.slice(separator + 1);
  if (!/^\d+$/.test(id!) || !/^\d+$/.test(parentId!) || superOptions === undefined) {
    return undefined;
  }
  return {
    id: Number(id),
    parentId: Number(parentId),
    root: unescapeOctal(root!),
    mountPoint: unescapeOctal(mountPoint!),
    options: options!.split(","),
    fsType: unescapeOctal(fsType!),
    source: unescapeOctal(source!),
    superOptions: superOptions.split(",").map(unescapeOctal),
  };
}

/** In file order: a later mount covers an earlier one on the same mount point. */
export const parseMountinfo = (text: string): Mount[] =>
  wholeLines(text).map(parseLine).filter((mount) => mount !== undefined);
