/** Which cgroups belong to a watch besides its targets. */

import { type Cgroup, walk } from "../cgroup/cgroup.ts";
import type { WatchOptions } from "./watch.ts";

/** Whether a path is that of a target, or beneath one, where all beneath them is followed. */
export function coversOf({ recursive, targets }: WatchOptions): (path: string) => boolean {
  return (path) =>
    recursive &&
    targets.some(({ path: target }) =>
      path === target || target === "/" || path.startsWith(`${target}/`)
    );
}

/** The targets as they are now, each with all beneath it where that is followed; one may come twice. */
export function* everyTarget({ recursive, targets, onTarget }: WatchOptions): Generator<Cgroup> {
  let count = 0;
  for (const target of targets) {
    for (const cgroup of recursive ? walk(target) : [target]) {
      onTarget?.(++count);
      yield cgroup;
    }
  }
}
