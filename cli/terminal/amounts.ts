/** Sizes, rates and times in few columns, for tables that are scanned. Pure. */

const PREFIXES = ["B", "K", "M", "G", "T", "P", "E"];

/** `19.9M`, `512K`: at most five columns and a sign; `–` for an unknown size. */
export function shortBytes(bytes: number | undefined): string {
  if (bytes === undefined || Number.isNaN(bytes)) return "–";
  if (!Number.isFinite(bytes)) return "no lim";
  let value = Math.abs(bytes);
  let prefix = 0;
  while (value >= 999.5 && prefix < PREFIXES.length - 1) {
    value /= 1024;
    prefix++;
  }
  const digits = prefix === 0 || value >= 99.95 ? 0 : 1;
  return `${bytes < 0 ? "-" : ""}${value.toFixed(digits)}${PREFIXES[prefix]}`;
}

/** `+1.5M/s`; `–` for an unknown rate. @param rate bytes per second */
export function shortRate(rate: number | undefined): string {
  if (rate === undefined) return "–";
  return Math.abs(rate) < 1 ? "0/s" : `${rate > 0 ? "+" : ""}${shortBytes(rate)}/s`;
}

/** Seconds per unit, the largest first. */
const UNITS = [[86_400, "d"], [3600, "h"], [60, "m"], [1, "s"]] as const;

/** `0.4s`, `12s`, `3m`, `2h`, `9d`; `–` for never and for an unknown time. */
export function shortTime(seconds: number | undefined): string {
  if (seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const [length, unit] = UNITS.find(([length]) => seconds >= 1.5 * length) ?? [1, "s"];
  const count = Math.round(seconds / length);
  return count > 999 ? ">999d" : `${count}${unit}`;
}
