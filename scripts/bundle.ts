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
