/** The history of a value in one line. Pure. */

const STEPS = { unicode: "▁▂▃▄▅▆▇█", ascii: "_.-:=+*#" };

/**
 * The last values in `width` columns, the newest at the right. With more values than columns each column shows the highest of its
 * values, so that no peak is lost. An unknown value is a gap.
 *
 * @param max the value of a full column; absent or `Infinity`: the highest of the values
 */
export function sparkline(
  values: readonly (number | undefined)[],
  width: number,
  { max, unicode }: { readonly max?: number; readonly unicode: boolean },
): string {
  const steps = unicode ? STEPS.unicode : STEPS.ascii;
  const each = Math.max(1, Math.ceil(values.length / Math.max(1, width)));
  const shown: (number | undefined)[] = [];
  // Grouped from the newest backwards.
  for (let end = values.length; end > 0 && shown.length < width; end -= each) {
    const part = values.slice(Math.max(0, end - each), end).filter((value) => value !== undefined);
    shown.unshift(part.length === 0 ? undefined : Math.max(...part));
  }
  const known = shown.filter((value) => value !== undefined);
  const top = max !== undefined && Number.isFinite(max) && max > 0 ? max : Math.max(...known);
  const drawn = shown.map((value) => {
    if (value === undefined) return " ";
    const share = top > 0 ? value / top : 0;
    return steps[Math.max(0, Math.min(steps.length - 1, Math.floor(share * steps.length)))]!;
  });
  return drawn.join("").padStart(width);
}
