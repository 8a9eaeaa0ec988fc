/** A configuration file, a tree for it, and the output of `guard --check-config`. */

import assert from "node:assert/strict";
import { runEach } from "./run_each.ts";
import { type Ran, runOomkit } from "./run_oomkit.ts";
import { makeTree, type Tree } from "./trees.ts";

export const makeNode = (): Tree => {
  const limited = { "memory.max": 209715200 };
  return makeTree(2, {
    "/kubepods": {},
    "/kubepods/db": limited,
    "/kubepods/web": limited,
    "/system.slice": {},
    "/system.slice/nginx.service": limited,
    "/system.slice/nginx.service/worker": limited,
  });
};

export interface Written extends Disposable {
  readonly path: string;
}

export function write(text: string): Written {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-config-" });
  const path = `${directory}/config.toml`;
  Deno.writeTextFileSync(path, text);
  return { path, [Symbol.dispose]: () => Deno.removeSync(directory, { recursive: true }) };
}

export const stateless = { OOMKIT_STATE_DIR: "/dev/null/nowhere" };

const checkWords = (
  tree: Tree,
  file: Written,
): string[] => ["guard", "--check-config", "--dry-run", "--root", tree.dir, "--config", file.path];

export const check = (tree: Tree, file: Written, ...args: string[]): Promise<Ran> =>
  runOomkit([...checkWords(tree, file), ...args], { env: stateless });

/** Of files that are refused. */
export const checkEach = (tree: Tree, files: readonly Written[]): Promise<Ran[]> =>
  runEach(files.map((file) => checkWords(tree, file)), { env: stateless });

export interface Checked {
  readonly rules: readonly Record<string, unknown>[];
  readonly cgroups: readonly { cgroup: string; rule: string | null; guarded: boolean }[];
}

export async function checked(
  text: string,
  ...args: string[]
): Promise<Checked & { stderr: string }> {
  using tree = makeNode();
  using file = write(text);
  const { code, stdout, stderr } = await check(tree, file, "--json", ...args);
  assert.equal(code, 0, stderr);
  return { ...JSON.parse(stdout), stderr };
}
