/** JavaScript files out of a TypeScript module and all that it imports. */

import { join, parse } from "node:path";
import { fileURLToPath } from "node:url";
import { neutralBundle } from "./neutral_bundle.ts";
import { Mistake } from "../terminal.ts";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * One file for each entry, and one for each part that is imported later or that parts share: no command parses the code
 * of another. Not minified, which gains little and costs the names in stack traces. The source maps lie beside the files
 * and are read for a stack trace only; inline they would be taken apart at each start (docs/performance.md).
 *
 * @param folder the files go there; nothing else may be in it
 * @param others entries beside the first, in the same folder: what it starts as a Worker
 * @returns the path of the entry's file
 */
export async function bundle(
  entry: string,
  folder: string,
  others: readonly string[] = [],
): Promise<string> {
  const split = ["--code-splitting", "--sourcemap=linked"];
  await deno(["bundle", "--quiet", "--frozen", ...split, `--outdir=${folder}`, entry, ...others]);
  const entryFile = `${parse(entry).name}.js`;
  for (const [name, text] of Object.entries(neutralBundle(takeAll(folder), entryFile))) {
    Deno.writeTextFileSync(join(folder, name), text);
    // The executable carries the times of its files.
    Deno.utimeSync(join(folder, name), 0, 0);
  }
  return join(folder, entryFile);
}

/** The files in `folder`, which is empty afterwards. */
function takeAll(folder: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const { name } of [...Deno.readDirSync(folder)]) {
    files[name] = Deno.readTextFileSync(join(folder, name));
    Deno.removeSync(join(folder, name));
  }
  return files;
}

/** The stack of Deno itself says nothing about our sources; some environments ask for it everywhere. */
export const withoutBacktrace = { RUST_BACKTRACE: "0" };

/** Runs this very Deno; see {@link succeed}. */
export function deno(args: string[]): Promise<void> {
  return succeed(Deno.execPath(), args);
}

/**
 * Runs a program in the project's folder, its talk kept back for a failure.
 * @throws Mistake with the program's last words when it fails, or is not there.
 */
export async function succeed(
  program: string,
  args: string[],
  options: Pick<Deno.CommandOptions, "cwd" | "env" | "signal"> = {},
): Promise<void> {
  const env = { ...withoutBacktrace, ...options.env };
  const command = new Deno.Command(program, { cwd: root, ...options, env, args, stdin: "null" });
  const { success, stderr } = await outputOf(command, program);
  if (success) return;
  const said = new TextDecoder().decode(stderr).trimEnd();
  throw new Mistake(`${program.split("/").at(-1)} ${args[0]} failed:\n${said}`);
}

async function outputOf(command: Deno.Command, program: string): Promise<Deno.CommandOutput> {
  try {
    return await command.output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Mistake(`cannot run ${program}: it is not in PATH`);
  }
}
