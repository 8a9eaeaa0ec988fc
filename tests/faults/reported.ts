/** What was told under a fault, against what is true: each value is the true one, or absent. */

type Plain = Readonly<Record<string, unknown>>;

const isPlain = (value: unknown): value is Plain => typeof value === "object" && value !== null;

/**
 * The paths of values that are neither. Members of a list are matched by `pid` or `path`, and may be missing.
 *
 * @param changes names of fields that are another with each read, or follow from what is absent: no more than zero is told of them.
 */
export function untrue(
  truth: unknown,
  told: unknown,
  changes: ReadonlySet<string> = new Set(),
  at = "",
): string[] {
  if (told === undefined || told === null) return [];
  if (Array.isArray(told)) {
    if (!Array.isArray(truth)) return [at];
    return told.flatMap((each, index) => {
      const same = isPlain(each) ? truth.find((one) => isSame(one, each)) : truth[index];
      return same === undefined
        ? [`${at}[${index}]`]
        : untrue(same, each, changes, `${at}[${index}]`);
    });
  }
  if (isPlain(told)) {
    if (!isPlain(truth)) return [`${at}: ${Deno.inspect(told)}`];
    return Object.entries(told).flatMap(([key, value]) => {
      const where = `${at}.${key}`;
      if (!changes.has(key)) return untrue(truth[key], value, changes, where);
      return isZero(value) && !isZero(truth[key]) ? [`${where} is zero`] : [];
    });
  }
  return Object.is(told, truth) ? [] : [`${at}: ${told} for ${truth}`];
}

const isZero = (value: unknown) => value === 0 || value === 0n;

function isSame(one: unknown, other: Plain): boolean {
  if (!isPlain(one)) return false;
  const key = ["pid", "path"].find((each) => each in other);
  return key === undefined || one[key] === other[key];
}
