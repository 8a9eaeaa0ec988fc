/** The npm packages of the project, from deno.lock, and which of them are in the executable. */

import { join } from "node:path";
import { outputOf, root } from "../command.ts";
import { isThere } from "../files.ts";
import { Mistake } from "../terminal.ts";

export interface Package {
  readonly name: string;
  readonly version: string;
  /** As in deno.lock: `sha512-` and base64. */
  readonly integrity: string;
  /** Names. */
  readonly dependencies: readonly string[];
}

interface Lock {
  readonly npm: Readonly<
    Record<string, { readonly integrity: string; readonly dependencies?: readonly string[] }>
  >;
}

/** By name. @throws Mistake for a package in two versions, which nothing here could tell apart. */
export function lockedPackages(lock: Lock = readLock()): ReadonlyMap<string, Package> {
  const packages = new Map<string, Package>();
  for (const [key, { integrity, dependencies = [] }] of Object.entries(lock.npm)) {
    // What follows `_` are peer dependencies.
    const [, name, version] = /^(@?[^@]+)@([^_]+)/.exec(key)!;
    if (packages.has(name!)) throw new Mistake(`deno.lock has ${name} in two versions`);
    packages.set(name!, { name: name!, version: version!, integrity, dependencies });
  }
  return packages;
}

const readLock = (): Lock => JSON.parse(Deno.readTextFileSync(join(root, "deno.lock")));

/** The entries of the bundle: scripts/build/compile.ts. */
const ENTRIES = ["cli/main.ts", "core/guard/thread/worker.ts"];

/** What the entries import, and what those packages depend on; sorted by name. */
export async function bundledPackages(): Promise<Package[]> {
  const locked = lockedPackages();
  const names = new Set<string>();
  for (const entry of ENTRIES) {
    const { modules } = await denoInfo(entry);
    for (const { specifier } of modules) {
      const name = /^npm:\/?(@?[^@]+)@/.exec(specifier)?.[1];
      if (name !== undefined) names.add(name);
    }
  }
  for (const name of names) locked.get(name)!.dependencies.forEach((each) => names.add(each));
  return [...names].toSorted().map((name) => locked.get(name)!);
}

/** Where Deno has unpacked the package. */
export async function packageDirectory({ name, version }: Package): Promise<string> {
  const { npmCache } = await denoInfo();
  // One directory for each registry.
  const directory = [...Deno.readDirSync(npmCache)]
    .map((registry) => join(npmCache, registry.name, name, version)).find(isThere);
  if (directory === undefined) {
    throw new Mistake(`${name}@${version} is not in Deno's cache; write: deno install`);
  }
  return directory;
}

interface Info {
  readonly npmCache: string;
  readonly modules: readonly { readonly specifier: string }[];
}

async function denoInfo(...entry: string[]): Promise<Info> {
  const { stdout } = await outputOf(Deno.execPath(), ["info", "--quiet", "--json", ...entry]);
  return JSON.parse(stdout);
}
