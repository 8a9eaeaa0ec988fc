/** The path of a cgroup in few columns. Pure. */

import { ascii, beginning, ending, visible, widthOf } from "./width.ts";

/** A container id: 64 hexadecimal digits. */
const ID = /[0-9a-f]{64}/g;

/**
 * `/kubepods/burstable/pod…/0123456789ab` in at most `width` columns. Container ids keep 12 digits, as container runtimes show
 * them. Then names in the middle are left out, then the first ones, because the parents next to the last name identify
 * it best; then the middle of the last name.
 */
export function shortName(path: string, width: number, unicode = true): string {
  const mark = unicode ? "…" : ascii("…");
  const full = visible(path, unicode).replace(ID, (id) => id.slice(0, 12));
  if (widthOf(full) <= width) return full;
  if (width <= 1) return width < 1 ? "" : mark;
  const names = full.split("/").filter((name) => name !== "");
  const [first = ""] = names;
  for (let from = 2; from < names.length; from++) {
    const tail = names.slice(from).join("/");
    const whole = `/${first}/${mark}/${tail}`;
    if (widthOf(whole) <= width) return whole;
    const withoutFirst = `${mark}/${tail}`;
    if (widthOf(withoutFirst) <= width) return withoutFirst;
  }
  const last = names.at(-1) ?? full;
  const only = names.length > 1 && widthOf(last) + 2 <= width ? `${mark}/${last}` : last;
  if (widthOf(only) <= width) return only;
  const head = Math.floor((width - 1) / 2);
  return `${beginning(only, head)}${mark}${ending(only, width - 1 - head)}`;
}
