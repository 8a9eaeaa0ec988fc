/**
 * Numbers as the kernel writes them: decimal, without a sign, alone in a file or as the value of a keyed line.
 */

/**
 * From here on a v1 limit means "no limit". The kernel writes PAGE_COUNTER_MAX × page size (mm/page_counter.c,
 * include/linux/page_counter.h): 9223372036854771712 with 4 KiB pages, 9223372036854710272 with 64 KiB ones, and up to
 * 2^64 − 1 before 3.19. 2^62 lies below all of these and above the physical address space of any 64-bit machine.
 */
const UNLIMITED = 2 ** 62;

/** A u64 has at most 20 digits; more is no number of the kernel's. */
const DECIMAL = /^\d{1,20}$/;

/**
 * A size in bytes; `Infinity` for `max` and for v1's unlimited. Between 2^53 and 2^62 the value is rounded. Anything else
 * is `undefined`, `-1` too: v1 takes it when a limit is written and never answers with it.
 */
export function parseBytes(text: string | undefined): number | undefined {
  const trimmed = text?.trim();
  if (trimmed === undefined) return undefined;
  if (trimmed === "max") return Infinity;
  if (!DECIMAL.test(trimmed)) return undefined;
  const value = Number(trimmed);
  return value >= UNLIMITED ? Infinity : value;
}

/** A counter, exact. */
export function parseCount(text: string | undefined): bigint | undefined {
  const trimmed = text?.trim();
  return trimmed !== undefined && DECIMAL.test(trimmed) ? BigInt(trimmed) : undefined;
}
