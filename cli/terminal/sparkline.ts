/** The course of a figure in one line. Pure. */

const STEPS = { unicode: "▁▂▃▄▅▆▇█", ascii: "_.-:=+*#" };

/**
 * The last values in `width` columns, the newest at the right; where there are more of them than columns, each shows the highest of
 * its share, so that no peak is lost. What is not known is a gap.
 *
 * @param most what is drawn as full; where it is no limit (absent, `Infinity`) the highest of the values.
 */
export function sparkline(
  values: readonly (number | undefined)[],
  width: number,
  { most, unicode }: { readonly most?: number; readonly unicode: boolean },
): string {
  const steps = unicode ? STEPS.unicode : STEPS.ascii;
  const each = Math.max(1, Math.ceil(values.length / Math.max(1, width)));
  const shown: (number | undefined)[] = [];
  // From the newest on, so that a column keeps its values until it is full.
  for (let end = values.length; end > 0 && shown.length < width; end -= each) {
    const part = values.slice(Math.max(0, end - each), end).filter((value) => value !== undefined);
    shown.unshift(part.length === 0 ? undefined : Math.max(...part));
  }
  const known = shown.filter((value) => value !== undefined);
  const top = most !== undefined && Number.isFinite(most) && most > 0 ? most : Math.max(...known);
  const drawn = shown.map((value) => {
    if (value === undefined) return " ";
    const share = top > 0 ? value / top : 0;
    return steps[Math.max(0, Math.min(steps.length - 1, Math.floor(share * steps.length)))]!;
  });
  return drawn.join("").padStart(width);
}
