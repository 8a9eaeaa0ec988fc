/**
 * A bundle names the packages' files where this machine caches them: in a comment above each, in the source maps, and in
 * the hashes that its files are called after. Without all that the same commit gives the same bytes on every machine.
 */

/** Text by file name. */
export type Files = Readonly<Record<string, string>>;

/** Up to the package's name: a cache's folder for one registry. */
const cachePath = /^(?:.*\/)?npm\/[^/]+\//;
/** Where the entry is put for one run. */
const buildPath = /^dist\/build-[^/]+\//;

const imported = /"\.\/([^"\n]+\.js)"/g;
const mapComment = /^\/\/# sourceMappingURL=(.+)\.map$/gm;

/** Every file that `entry` leads to, with its source map. */
export function neutralBundle(files: Files, entry: string): Files {
  const names = neutralNames(files, entry);
  const neutral: Record<string, string> = {};
  for (const [name, newName] of names) {
    neutral[newName] = files[name]!
      .replaceAll(/^\/\/ (\S+)$/gm, (_, path) => `// ${neutralPath(path)}`)
      .replaceAll(imported, (text, found) => names.has(found) ? `"./${names.get(found)}"` : text)
      .replaceAll(mapComment, (_, found) => `//# sourceMappingURL=${names.get(found)}.map`);
    const map = files[`${name}.map`];
    if (map !== undefined) neutral[`${newName}.map`] = neutralMap(map);
  }
  return neutral;
}

/** Numbered as they are met, where the bundler has put a hash. */
function neutralNames(files: Files, entry: string): ReadonlyMap<string, string> {
  const names = new Map([[entry, entry]]);
  for (const name of names.keys()) {
    for (const [, found] of files[name]!.matchAll(imported)) {
      if (names.has(found!) || files[found!] === undefined) continue;
      names.set(found!, found!.replace(/(-[A-Z0-9]{8})?\.js$/, `-${names.size}.js`));
    }
  }
  return names;
}

/** The sources themselves are left out: a stack trace names their lines and does not quote them. */
function neutralMap(text: string): string {
  const { sourcesContent: _, ...map } = JSON.parse(text);
  return JSON.stringify({ ...map, sources: map.sources.map(neutralPath) });
}

function neutralPath(path: string): string {
  return path.replace(cachePath, "npm/").replace(buildPath, "");
}
