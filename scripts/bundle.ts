/** One JavaScript file out of a TypeScript module and all that it imports. */

import { fileURLToPath } from "node:url";
import { Mistake } from "./terminal.ts";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** The source map goes along, so that stack traces name the source. */
export async function bundle(entry: string, output: string): Promise<void> {
  await deno(["bundle", "--quiet", "--frozen", "--sourcemap=inline", "-o", output, entry]);
}

/** The stack of Deno itself says nothing about our sources; some environments ask for it everywhere. */
export const withoutBacktrace = { RUST_BACKTRACE: "0" };

/**
 * Runs this very Deno in the project's folder, its talk kept back for a failure.
 * @throws Mistake with the last words of Deno, when it fails.
 */
export async function deno(args: string[], options: Deno.CommandOptions = {}): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), {
    cwd: root,
    ...options,
    env: { ...withoutBacktrace, ...options.env },
    args,
    stdin: "null",
  });
  const { success, stdout, stderr } = await command.output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Mistake(`deno ${args[0]} failed:\n${new TextDecoder().decode(stderr).trimEnd()}`);
}
