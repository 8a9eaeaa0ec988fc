/** `/proc/PID/cgroup` (cgroups(7)): one line for each hierarchy that the process is in. */

import { wholeLines } from "./whole_lines.ts";

export interface CgroupLine {
  /** 0 is v2's. */
  readonly hierarchyId: number;
  /** v1 controllers, or `name=systemd` for a named hierarchy; empty for v2. */
  readonly controllers: readonly string[];
  /** As seen from the reader's cgroup namespace: beginning with `/..` for what lies outside it. */
  readonly path: string;
  /** The cgroup was removed while the process (a zombie, by then) was in it. */
  readonly deleted: boolean;
}

// A cgroup's name may hold colons and any other character but a newline (U+2028 and \r, which end a line for a plain dot,
// among them); controllers and names of hierarchies hold no colon.
const LINE = /^(\d+):([^:]*):(\/.*)$/s;

const DELETED = " (deleted)";

/**
 * A last line without its newline is skipped: the beginning of a path is the path of an ancestor.
 *
 * A live cgroup that is itself named `… (deleted)` cannot be told from a removed one: the kernel writes both alike.
 */
export function parseProcCgroup(text: string): CgroupLine[] {
  const lines: CgroupLine[] = [];
  for (const line of wholeLines(text)) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, hierarchyId, controllers, path] = match;
    const deleted = path!.endsWith(DELETED);
    lines.push({
      hierarchyId: Number(hierarchyId),
      controllers: controllers === "" ? [] : controllers!.split(","),
      path: deleted ? path!.slice(0, -DELETED.length) : path!,
      deleted,
    });
  }
  return lines;
}
