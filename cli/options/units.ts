/** Sizes, durations, percentages and rates: parsing and formatting, also in few columns. */

import { OomkitError } from "../../core/errors.ts";
import { bytesText, scaledBytes } from "../../core/figures.js";

const SIZE_HINT = "use bytes or K, M, G, T such as 512M";
const EXPONENT: Record<string, number> = { "": 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/** Milliseconds, longest first: in `1h30m` each unit must be shorter than the one before. */
const DURATIONS: ReadonlyArray<readonly [string, number]> = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
  ["us", 0.001],
];

function cannot(what: string, text: string, why: string, hint: string): OomkitError {
  return new OomkitError(`cannot read ${what} "${text}": ${why}`, hint);
}

/** The kernel counts memory in pages (x86-64; larger elsewhere), so a smaller number was not meant as bytes. */
const MIN_BARE_BYTES = 4096;
/** No process fits into less: a bare number of at most five digits is one of MiB. */
const MIN_BARE_LIMIT_BYTES = 100_000;

/**
 * Refuses a number without a unit that can only be a mistake: what is below `min` bytes was meant in another unit. `12B` is what it
 * says, and 0 is 0 in every unit. Every option that takes bytes uses it; options with a unit of their own (`--mb` and the margins in
 * MiB, `--warn` in percent) accept bare numbers.
 *
 * @param options.meanings what the number may have been meant as
 */
function checkBare(
  what: string,
  text: string,
  bytes: number,
  { min = MIN_BARE_BYTES, meanings = (number: string) => [`${number}M`] } = {},
): number {
  const number = text.trim().replace(/ ?\/s$/i, "");
  if (bytes === 0 || bytes >= min || !/^\d+$/.test(number)) return bytes;
  const meant = meanings(number).join(" or ");
  const why = `it means ${formatCount(bytes, "byte")}${what === "rate" ? " a second" : ""}`;
  throw cannot(what, text, why, `did you mean ${meant}?`);
}

/**
 * Bytes of `20M`, `20MiB`, `1.5G`, `65536`; K is always 1024. A fraction of a byte is dropped.
 * @param options.allowMax accept `max` for "no limit", `Infinity`
 * @throws {OomkitError} for anything else, for a bare number of less than a page, and for 2^53 and more, which a number cannot
 * hold exactly
 */
export function parseSize(text: string, { allowMax = false, hint = SIZE_HINT } = {}): number {
  const fail = (why: string) => cannot("size", text, why, allowMax ? `${hint}, or max` : hint);
  return checkBare("size", text, readSize(text, allowMax, fail));
}

function readSize(text: string, allowMax: boolean, fail: (why: string) => OomkitError): number {
  const trimmed = text.trim();
  if (trimmed.toLowerCase() === "max") {
    if (allowMax) return Infinity;
    throw fail("a limit is needed here");
  }
  if (trimmed === "") throw fail("it is empty");
  if (trimmed.startsWith("-")) throw fail("it is negative");
  const match = /^(\d+(?:\.\d+)?) ?(\D*)$/.exec(trimmed);
  if (match === null) throw fail("not a number with a unit");
  const [, number, unit] = match;
  const prefix = /^([kmgtp]?)(?:b|(?<=.)ib?)?$/i.exec(unit!)?.[1]?.toLowerCase();
  if (prefix === undefined) throw fail(`unknown unit "${unit}"`);
  if (prefix === "" && number!.includes(".")) throw fail("a number of bytes must be whole");
  const bytes = Math.floor(Number(number) * 1024 ** EXPONENT[prefix]!);
  if (bytes >= 2 ** 53) throw fail("it is too large");
  return bytes;
}

/**
 * Bytes of a memory limit.
 * @throws {OomkitError} as `parseSize` does, and for a bare number below 100,000
 */
export function parseLimitSize(text: string): number {
  return checkBare("limit", text, parseSize(text), { min: MIN_BARE_LIMIT_BYTES });
}

/**
 * Milliseconds of `50ms`, `1.5s`, `1h30m`, `0`.
 * @throws {OomkitError} for anything else; a bare number other than 0 has no unit and is refused
 */
export function parseDuration(text: string): number {
  const fail = (why: string) =>
    cannot("duration", text, why, "use ms, s, m, h, d such as 500ms or 1m30s");
  let rest = text.trim().toLowerCase();
  if (rest === "") throw fail("it is empty");
  if (rest === "0") return 0;
  if (rest.startsWith("-")) throw fail("it is negative");
  if (/^\d+(?:\.\d+)?$/.test(rest)) {
    throw cannot("duration", text, "it has no unit", `did you mean ${rest}s or ${rest}ms?`);
  }
  let total = 0;
  let next = 0;
  while (rest !== "") {
    const [piece, number, unit] = /^(\d+(?:\.\d+)?) ?([^\d\s.]+) */.exec(rest) ?? [];
    if (piece === undefined) throw fail("not a number with a unit");
    const index = DURATIONS.findIndex(([name]) => name === unit);
    if (index < 0) throw fail(`unknown unit "${unit}"`);
    if (index < next) throw fail(`"${unit}" is out of order`);
    next = index + 1;
    total += Number(number) * DURATIONS[index]![1];
    rest = rest.slice(piece.length);
  }
  if (total > Number.MAX_SAFE_INTEGER) throw fail("it is too long");
  return total;
}

/** @throws {OomkitError} as `parseDuration` does, and for 0 */
export function parsePositiveDuration(text: string): number {
  const duration = parseDuration(text);
  if (duration > 0) return duration;
  throw new OomkitError(`"${text}" is too short`, "use a duration such as 10s");
}

/**
 * 65 of `65%`.
 * @throws {OomkitError} below 0, above 100, without the sign
 */
export function parsePercent(text: string): number {
  const fail = (why: string) => cannot("percentage", text, why, "use 0% to 100%, such as 65%");
  const trimmed = text.trim();
  if (trimmed === "") throw fail("it is empty");
  if (!trimmed.endsWith("%")) throw fail("it has no % sign");
  const number = trimmed.slice(0, -1).trimEnd();
  if (!/^-?\d+(?:\.\d+)?$/.test(number)) throw fail("not a number");
  const percent = Number(number);
  if (number.startsWith("-") || percent > 100) throw fail("out of range");
  return percent;
}

export type SizeOrPercent = { readonly bytes: number } | { readonly percent: number };

/** @throws {OomkitError} as `parseSize` and `parsePercent` do */
export function parseSizeOrPercent(text: string): SizeOrPercent {
  if (text.trim().endsWith("%")) return { percent: parsePercent(text) };
  const fail = (why: string) => cannot("size", text, why, SIZE_HINT);
  const meanings = (number: string) =>
    Number(number) <= 100 ? [`${number}%`, `${number}M`] : [`${number}M`];
  return { bytes: checkBare("size", text, readSize(text, false, fail), { meanings }) };
}

/**
 * Bytes a second of `10M/s` or `10M`.
 * @throws {OomkitError} as `parseSize` does, and for 0, because the limit would never be reached
 */
export function parseRate(text: string): number {
  const fail = (why: string) => cannot("rate", text, why, "use a rate such as 10M/s");
  const size = text.trim().replace(/ ?\/s$/i, "");
  if (size.toLowerCase() === "max") throw fail("not a number with a unit");
  const rate = readSize(size, false, fail);
  if (rate === 0) throw fail("it is zero");
  return checkBare("rate", text, rate, { meanings: (number) => [`${number}M/s`] });
}

const UNKNOWN = "–";

/** `19.9 MiB`; `no limit` for `Infinity`, a dash for an unknown value. */
export function formatBytes(bytes: number | undefined): string {
  return bytes === Infinity ? "no limit" : bytesText(bytes);
}

/** For tables that are scanned: `19.9M`, `512K`: at most five columns and a sign; `–` for an unknown size. */
export function shortBytes(bytes: number | undefined): string {
  if (bytes === undefined || Number.isNaN(bytes)) return UNKNOWN;
  if (!Number.isFinite(bytes)) return "no lim";
  const [value, prefix] = scaledBytes(bytes, 999.5);
  const digits = prefix === "" || value >= 99.95 ? 0 : 1;
  return `${bytes < 0 ? "-" : ""}${value.toFixed(digits)}${prefix || "B"}`;
}

/** `+1.5M/s`; `–` for an unknown rate. @param rate bytes per second */
export function shortRate(rate: number | undefined): string {
  if (rate === undefined) return UNKNOWN;
  return Math.abs(rate) < 1 ? "0/s" : `${rate > 0 ? "+" : ""}${shortBytes(rate)}/s`;
}

/** Seconds per unit, the largest first. */
const SHORT_UNITS = [[86_400, "d"], [3600, "h"], [60, "m"], [1, "s"]] as const;

/** `0.4s`, `12s`, `3m`, `2h`, `9d`; `–` for never and for an unknown time. */
export function shortTime(seconds: number | undefined): string {
  if (seconds === undefined || !Number.isFinite(seconds)) return UNKNOWN;
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const [length, unit] = SHORT_UNITS.find(([length]) => seconds >= 1.5 * length) ?? [1, "s"];
  const count = Math.round(seconds / length);
  return count > 999 ? ">999d" : `${count}${unit}`;
}

/** `0.7 ms`, `1.2 s`, `2m 5s`, `1h 30m`, of milliseconds. */
export function formatDuration(milliseconds: number | undefined): string {
  if (milliseconds === undefined || !Number.isFinite(milliseconds)) return UNKNOWN;
  if (milliseconds < 0) return `-${formatDuration(-milliseconds)}`;
  if (milliseconds < 99.95) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 999.5) return `${milliseconds.toFixed(0)} ms`;
  if (milliseconds < 59_950) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
}

/** `64.9%`. */
export function formatPercent(percent: number | undefined): string {
  return percent === undefined || !Number.isFinite(percent) ? UNKNOWN : `${percent.toFixed(1)}%`;
}

/** `1 process`, `3 processes`. */
export const formatCount = (count: bigint | number, one: string, many = `${one}s`) =>
  `${count} ${BigInt(count) === 1n ? one : many}`;
