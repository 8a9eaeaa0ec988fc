// @ts-check
/** Sizes, durations and times as text, in the program and in the pages that it makes, which contain this file. Times are UTC. */

const PREFIXES = ["", "K", "M", "G", "T", "P", "E"];

/**
 * A size in the smallest unit in which it is below `least`, without its sign, and the prefix of that unit.
 * @type {(bytes: number, least: number) => readonly [value: number, prefix: string]}
 */
export function scaledBytes(bytes, least) {
  let value = Math.abs(bytes);
  let at = 0;
  for (; value >= least && at < PREFIXES.length - 1; at++) value /= 1024;
  return [value, /** @type {string} */ (PREFIXES[at])];
}

/**
 * `19.9 MiB`, as on the command line; `–` if unknown.
 * @type {(bytes: number | null | undefined) => string}
 */
export function bytesText(bytes) {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return "–";
  // 1023.95 would be written as 1024.0.
  const [value, prefix] = scaledBytes(bytes, Math.abs(bytes) < 1024 ? 1024 : 1023.95);
  const sign = bytes < 0 ? "-" : "";
  return prefix === "" ? `${sign}${Math.round(value)} B` : `${sign}${value.toFixed(1)} ${prefix}iB`;
}

/** The label of a tick, without the fraction of a round value. @type {(bytes: number) => string} */
export function bytesTick(bytes) {
  return bytes === 0 ? "0" : bytesText(bytes).replace(/\.0 /, " ");
}

/** `85.1 %`. @param {number} percent */
export const percentText = (percent) => `${percent.toFixed(1)} %`;

/**
 * Percent; a limit of 0 is always full.
 * @type {(usage: number, limit: number) => number}
 */
export const shareOfLimit = (usage, limit) => limit === 0 ? 100 : 100 * usage / limit;

/**
 * `512.0 MiB, 85.1 % of 600.0 MiB`; without a limit, `512.0 MiB`.
 * @type {(usage: number | null | undefined, limit: number | null) => string}
 */
export function usageText(usage, limit) {
  if (usage === null || usage === undefined || limit === null) {
    return bytesText(usage);
  }
  return `${bytesText(usage)}, ${percentText(shareOfLimit(usage, limit))} of ${bytesText(limit)}`;
}

/** `2.35 s`, `1m 5s`, `2h 5m`. @type {(ms: number) => string} */
export function spanText(ms) {
  const sign = ms < 0 ? "-" : "";
  const span = Math.abs(ms);
  if (span < 999.5) return `${sign}${Math.round(span)} ms`;
  if (span < 59_950) return `${sign}${(span / 1000).toFixed(span < 9995 ? 2 : 1)} s`;
  const seconds = Math.round(span / 1000);
  if (seconds < 3600) return `${sign}${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  const minutes = Math.round(seconds / 60);
  return `${sign}${Math.floor(minutes / 60)}h ${minutes % 60}m`;
}

/**
 * `04:56:02.350`, as precise as `step` requires. Two times `step` milliseconds apart differ.
 * @type {(at: number, step?: number) => string}
 */
export function clockText(at, step = 1) {
  const text = new Date(at).toISOString();
  const end = step >= 60_000 ? 16 : step >= 1000 ? 19 : step >= 100 ? 21 : step >= 10 ? 22 : 23;
  return text.slice(step >= 86_400_000 ? 5 : 11, end).replace("T", " ");
}

/**
 * Cuts the middle of a text that is too long: the ends of a path distinguish it best.
 * @type {(text: string, maxLetters: number) => string}
 */
export function cut(text, maxLetters) {
  const letters = [...text];
  if (letters.length <= maxLetters) return text;
  const half = (maxLetters - 1) / 2;
  return `${letters.slice(0, Math.ceil(half)).join("")}…${
    letters.slice(-Math.floor(half)).join("")
  }`;
}
