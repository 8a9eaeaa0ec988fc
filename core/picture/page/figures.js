// @ts-check
/** Sizes, spans and times as the picture says them; in the browser as in the program. Times are UTC, as events have them. */

const PREFIXES = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/**
 * `19.9 MiB`, as the command line says it; a dash for what is not known.
 * @param {number | null | undefined} bytes
 * @returns {string}
 */
export function bytesText(bytes) {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return "–";
  const sign = bytes < 0 ? "-" : "";
  let value = Math.abs(bytes);
  if (value < 1024) return `${sign}${Math.round(value)} B`;
  let prefix = -1;
  while (value >= 1023.95 && prefix < PREFIXES.length - 1) {
    value /= 1024;
    prefix++;
  }
  return `${sign}${value.toFixed(1)} ${PREFIXES[prefix]}`;
}

/**
 * The same beneath an axis, where round figures need no fraction.
 * @param {number} bytes
 * @returns {string}
 */
export function bytesTick(bytes) {
  return bytes === 0 ? "0" : bytesText(bytes).replace(/\.0 /, " ");
}

/**
 * `+2.35 s`, `+1m 5s`, `+2h 5m` after the beginning.
 * @param {number} ms
 * @returns {string}
 */
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
 * `04:56:02.350`, with no more digits than `step` needs.
 * @param {number} at milliseconds since the epoch
 * @param {number} [step] milliseconds between what is told apart
 * @returns {string}
 */
export function clockText(at, step = 1) {
  const text = new Date(at).toISOString();
  const end = step >= 60_000 ? 16 : step >= 1000 ? 19 : step >= 100 ? 21 : step >= 10 ? 22 : 23;
  return text.slice(step >= 86_400_000 ? 5 : 11, end).replace("T", " ");
}
