/** The line of a key in a TOML file. smol-toml reports lines of syntax errors only. Pure. */

/** Names of tables, the index of an item in an array of tables, and the key: `["guard", "rule", 1, "warn"]`. */
export type Place = readonly (string | number)[];

/** Counted from 1. The line of the table if the key is not found in it; `undefined` if neither is found. */
export function lineOf(text: string, place: Place): number | undefined {
  let table: Place = [];
  const counts = new Map<string, number>();
  let best: { readonly line: number; readonly depth: number } | undefined;
  const update = (line: number, found: Place) => {
    const isPrefix = found.length <= place.length &&
      found.every((part, at) => part === place[at]);
    if (isPrefix && found.length > (best?.depth ?? 0)) best = { line, depth: found.length };
  };
  for (const [at, line] of text.split("\n").entries()) {
    const [, open, header] = /^\s*(\[\[?)([^\]]+)\]/.exec(line) ?? [];
    const [, key] = /^\s*((?:[\w.-]|"[^"]*"|'[^']*')+)\s*=/.exec(line) ?? [];
    if (header !== undefined) {
      table = numbered(partsOf(header), counts, open === "[[");
      update(at + 1, table);
    } else if (key !== undefined) {
      update(at + 1, [...table, ...partsOf(key)]);
    }
  }
  return best?.line;
}

/** Adds the index in each array of tables on the way. */
function numbered(names: readonly string[], counts: Map<string, number>, isItem: boolean): Place {
  const place: (string | number)[] = [];
  names.forEach((name, at) => {
    place.push(name);
    const path = names.slice(0, at + 1).join(".");
    if (isItem && at === names.length - 1) counts.set(path, (counts.get(path) ?? -1) + 1);
    const count = counts.get(path);
    if (count !== undefined) place.push(count);
  });
  return place;
}

function partsOf(dotted: string): string[] {
  return [...dotted.matchAll(/"([^"]*)"|'([^']*)'|([\w-]+)/g)].map(([, double, single, bare]) =>
    double ?? single ?? bare ?? ""
  );
}
