/** Suggestions for a misspelt name. Pure. */

/**
 * The closest of `names` by edit distance, closest first: within a third of the length of `word`, and at most one edit
 * further than the closest.
 */
export function suggest(word: string, names: Iterable<string>, most = 3): string[] {
  const tolerance = Math.max(1, Math.ceil(word.length / 3));
  const near = [...new Set(names)]
    .map((name) => ({
      name,
      distance: name !== word && name.includes(word) ? 0.5 : editDistance(word, name),
    }))
    .filter(({ distance }) => distance <= tolerance)
    .sort((a, b) => a.distance - b.distance || a.name.length - b.name.length);
  return near
    .filter(({ distance }) => distance <= near[0]!.distance + 1)
    .slice(0, most)
    .map(({ name }) => name);
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
