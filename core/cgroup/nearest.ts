/** Names that a misspelt one may have meant. Pure. */

/** The closest of `names` by edit distance, closest first; only those within a third of the word's length. */
export function nearest(word: string, names: Iterable<string>, most = 3): string[] {
  const tolerance = Math.max(1, Math.ceil(word.length / 3));
  return [...new Set(names)]
    .map((name) => ({ name, distance: name.includes(word) ? 0.5 : editDistance(word, name) }))
    .filter(({ distance }) => distance <= tolerance)
    .sort((a, b) => a.distance - b.distance || a.name.length - b.name.length)
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
