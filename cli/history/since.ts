/** Points in time that a user names. */

import { OomkitError } from "../../core/errors.ts";
import { parseDuration } from "../options/units.ts";

const HINT =
  "use a duration such as 24h, today, yesterday, or a time such as 2026-11-30T08:00 or @1796025600";

/**
 * Milliseconds since the epoch of `24h` (before now), `2026-11-30`, `2026-11-30 08:00`, `2026-11-30T08:00:00Z`, `@1796025600`,
 * `today`, `yesterday`. A time without a zone is local.
 *
 * @throws {OomkitError} for anything else, and for a time that is yet to come
 */
export function parseSince(text: string, now = Date.now()): number {
  const at = timeOf(text.trim(), now);
  const fail = (why: string) => new OomkitError(`cannot read time "${text}": ${why}`, HINT);
  if (!Number.isFinite(at)) throw fail("it is neither a duration nor a time");
  if (at > now) throw fail("it is yet to come");
  return at;
}

function timeOf(text: string, now: number): number {
  if (/^@\d{1,12}(\.\d+)?$/.test(text)) return Number(text.slice(1)) * 1000;
  if (text === "today" || text === "yesterday") {
    const day = new Date(now);
    day.setHours(0, 0, 0, 0);
    if (text === "yesterday") day.setDate(day.getDate() - 1);
    return day.getTime();
  }
  const [date, clock = "T00:00"] = /^\d{4}-\d\d-\d\d/.test(text)
    ? [text.slice(0, 10), text.slice(10).replace(/^ /, "T") || undefined]
    : [];
  if (date !== undefined) {
    return /^T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[-+]\d\d:?\d\d)?$/.test(clock)
      ? Date.parse(date + clock.replace(/([-+]\d\d)(\d\d)$/, "$1:$2"))
      : NaN;
  }
  return /^\d/.test(text) ? now - parseDuration(text) : NaN;
}
