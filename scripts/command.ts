/** Where the project and its executable are, and other programs that the scripts run. */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Mistake } from "./terminal.ts";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** The result of `deno task compile`. */
export const compiled = join(root, "dist/oomkit");
export const compiledForArm64 = join(root, "dist/oomkit-aarch64");

/** `OOMKIT_BIN`, or the result of `deno task compile`. */
export const executable = Deno.env.get("OOMKIT_BIN") ?? compiled;

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program in the project's directory, without input. The stack of Deno itself says nothing about our sources, and some
 * environments ask for it everywhere. @throws Mistake when there is no such program.
 */
export async function outputOf(
  program: string,
  args: readonly string[],
  { signal, env, cwd = root }: Pick<Deno.CommandOptions, "cwd" | "env" | "signal"> = {},
): Promise<Ran> {
  const command = new Deno.Command(program, {
    args: [...args],
    cwd,
    env: { RUST_BACKTRACE: "0", ...env },
    stdin: "null",
    ...signal && { signal },
  });
  try {
    const { code, stdout, stderr } = await command.output();
    const text = new TextDecoder();
    return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Mistake(`cannot run ${program}: it is not in PATH`);
  }
}

/** Runs a program, and reads its output only when it fails. @throws Mistake with its last words then. */
export async function succeed(...[program, args, options]: Parameters<typeof outputOf>) {
  const { code, stderr } = await outputOf(program, args, options);
  if (code === 0) return;
  throw new Mistake(`${program.split("/").at(-1)} ${args[0]} failed:\n${stderr.trimEnd()}`);
}

/** Runs this very Deno; see {@link succeed}. */
export const deno = (args: readonly string[]): Promise<void> => succeed(Deno.execPath(), args);

/** What git prints; `undefined` when it fails, or without git. */
export async function git(...args: string[]): Promise<string | undefined> {
  const failed = { code: 1, stdout: "" };
  const { code, stdout } = await outputOf("git", args).catch((error) => {
    if (error instanceof Mistake) return failed;
    throw error;
  });
  return code === 0 ? stdout.trim() : undefined;
}
