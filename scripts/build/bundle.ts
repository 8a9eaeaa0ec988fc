/** JavaScript files out of a TypeScript module and all that it imports. */

import { join, parse } from "node:path";
import { deno } from "../command.ts";

/**
 * One file for each entry, and one for each part that is imported later or that parts share: no command parses the code
 * of another. Not minified, which gains little and costs the names in stack traces. The source maps lie beside the files
 * and are read for a stack trace only; inline they would be taken apart at each start (docs/performance.md).
 *
 * @param directory the files go there; nothing else may be in it
 * @param others entries beside the first, in the same directory: what it starts as a Worker
 * @returns the path of the entry's file
 */
export async function bundle(
  entry: string,
  directory: string,
  others: readonly string[] = [],
): Promise<string> {
  const split = ["--code-splitting", "--sourcemap=linked"];
  await deno([
    "bundle",
    "--quiet",
    "--frozen",
    ...split,
    `--outdir=${directory}`,
    entry,
    ...others,
  ]);
  const entryFile = `${parse(entry).name}.js`;
  for (const [name, text] of Object.entries(neutralBundle(takeAll(directory), entryFile))) {
    Deno.writeTextFileSync(join(directory, name), text);
    // The executable carries the times of its files.
    Deno.utimeSync(join(directory, name), 0, 0);
  }
  return join(directory, entryFile);
}

/** The files in `directory`, which is empty afterwards. */
function takeAll(directory: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const { name } of [...Deno.readDirSync(directory)]) {
    files[name] = Deno.readTextFileSync(join(directory, name));
    Deno.removeSync(join(directory, name));
  }
  return files;
}

/** Text by file name. */
type Files = Readonly<Record<string, string>>;

/** Up to the package's name: a cache's directory for one registry. */
const cachePath = /^(?:.*\/)?npm\/[^/]+\//;
/** Where the entry is put for one run. */
const buildPath = /^dist\/build-[^/]+\//;

const imported = /"\.\/([^"\n]+\.js)"/g;
const mapComment = /^\/\/# sourceMappingURL=(.+)\.map$/gm;

/**
 * Every file that `entry` leads to, with its source map. A bundle names the packages' files where this machine caches them: in
 * a comment above each, in the source maps, and in the hashes that its files are called after. Without all that the same commit
 * gives the same bytes on every machine.
 */
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
