/** Suggestions for a misspelt name. Pure. */

/**
 * The closest of `names` by edit distance, closest first: within a third of the length of `word`, and at most one edit
 * further than the closest. Capitals count as small letters, and two letters that changed places as one edit.
 */
export function suggest(word: string, names: Iterable<string>, most = 3): string[] {
  // It is part of every name.
  if (word === "") return [];
  const sought = word.toLowerCase();
  const tolerance = Math.max(1, Math.ceil(word.length / 3));
  const near = [...new Set(names)]
    .map((name) => {
      const known = name.toLowerCase();
      const isPart = known !== sought && known.includes(sought);
      return { name, distance: isPart ? 0.5 : editDistance(sought, known) };
    })
    .filter(({ distance }) => distance <= tolerance)
    .sort((a, b) => a.distance - b.distance || a.name.length - b.name.length);
  return near
    .filter(({ distance }) => distance <= near[0]!.distance + 1)
    .slice(0, most)
    .map(({ name }) => name);
}

/** For the end of an error message: `did you mean oom_kill?`; `undefined` if no name is close. */
export function didYouMean(word: string, names: Iterable<string>): string | undefined {
  const [near] = suggest(word, names, 1);
  return near === undefined ? undefined : `did you mean ${near}?`;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  let before: readonly number[] = [];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = isSwapped ? before[j - 2]! + 1 : Infinity;
      next.push(Math.min(change, swap, row[j]! + 1, next[j - 1]! + 1));
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}
