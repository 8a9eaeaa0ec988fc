/** Which cgroups belong to a watch besides its targets. */

import type { WatchOptions } from "./watch.ts";

/** Whether a path is that of a target, or beneath one, where all beneath them is followed. */
export function coversOf({ recursive, targets }: WatchOptions): (path: string) => boolean {
  return (path) =>
    recursive &&
    targets.some(({ path: target }) =>
      path === target || target === "/" || path.startsWith(`${target}/`)
    );
}
