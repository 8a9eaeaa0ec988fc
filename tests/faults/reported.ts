/** Compares values that were read under a fault with the true ones: each must be equal or absent. */

type Plain = Readonly<Record<string, unknown>>;

const isPlain = (value: unknown): value is Plain => typeof value === "object" && value !== null;

/**
 * The paths of values that are neither. Members of a list are matched by `pid` or `path`, and may be missing.
 *
 * @param changes names of fields that differ with each read or depend on absent values: they are only checked for a false zero.
 */
export function untrue(
  truth: unknown,
  read: unknown,
  changes: ReadonlySet<string> = new Set(),
  at = "",
): string[] {
  if (read === undefined || read === null) return [];
  if (Array.isArray(read)) {
    if (!Array.isArray(truth)) return [at];
    return read.flatMap((each, index) => {
      const same = isPlain(each) ? truth.find((one) => isSame(one, each)) : truth[index];
      return same === undefined
        ? [`${at}[${index}]`]
        : untrue(same, each, changes, `${at}[${index}]`);
    });
  }
  if (isPlain(read)) {
    if (!isPlain(truth)) return [`${at}: ${Deno.inspect(read)}`];
    return Object.entries(read).flatMap(([key, value]) => {
      const where = `${at}.${key}`;
      if (!changes.has(key)) return untrue(truth[key], value, changes, where);
      return isZero(value) && !isZero(truth[key]) ? [`${where} is zero`] : [];
    });
  }
  return Object.is(read, truth) ? [] : [`${at}: ${read} for ${truth}`];
}

const isZero = (value: unknown) => value === 0 || value === 0n;

function isSame(one: unknown, other: Plain): boolean {
  if (!isPlain(one)) return false;
  const key = ["pid", "path"].find((each) => each in other);
  return key === undefined || one[key] === other[key];
}
