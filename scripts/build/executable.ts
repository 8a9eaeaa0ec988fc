/** Puts JavaScript on a runtime base: one file that runs where there is no Deno. */

import { succeed } from "./bundle.ts";
import type { Base, Target } from "./runtime_base.ts";
import { Mistake } from "../terminal.ts";

export interface Making {
  readonly base: Base;
  readonly target: Target;
  /** Runs first; what it imports comes along. */
  readonly script: string;
  /** A folder; its other files are included, too. */
  readonly folder?: string;
  readonly output: string;
}

/** Seconds; the official base is 40 MB, and a network that swallows packets gives no error at all. */
const timeout = 180;

/** Small heaps, and the right to say when garbage is collected: core/guard/heap.ts. */
const engine = "--v8-flags=--optimize-for-size,--expose-gc";

/**
 * Without a code cache: the program would keep it under a name in TMPDIR that any user can create first, which is unsafe
 * for a daemon that runs as root.
 *
 * @throws Mistake when the base cannot be had.
 */
export async function makeExecutable(making: Making): Promise<void> {
  const { base, target, script, folder, output } = making;
  // Nothing of the project is left to be configured, and its deno.json would be put into the executable.
  const flags = ["-A", "--quiet", "--no-config", "--no-check", "--no-code-cache", engine];
  const include = folder === undefined ? [] : ["--include", folder];
  const signal = AbortSignal.timeout(timeout * 1000);
  const environment = base.kind === "official" ? {} : { DENORT_BIN: base.path };
  const version = compilerVersion(base);
  const [program, ...first]: [string, ...string[]] = version === Deno.version.deno
    ? [Deno.execPath()]
    : ["npx", "-y", `deno@${version}`];
  const args = [
    ...first,
    "compile",
    ...flags,
    "--target",
    target,
    ...include,
    "-o",
    output,
    script,
  ];
  try {
    await succeed(program, args, { env: environment, signal });
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    if (base.kind !== "official") throw error;
    const late = signal.aborted ? `no answer within ${timeout} s` : undefined;
    const cause = late ?? baseFailure(error.message);
    if (cause === undefined) throw error;
    throw new Mistake(
      `cannot get the official runtime base for ${target}: ${cause}; connect this machine to Deno's site, ` +
        "or set DENORT_BIN to a denort executable, or take --denort=npm (for building and testing)",
    );
  }
}

/** The Deno that puts the bundle on the base: the two share a format of their own. */
export function compilerVersion(base: Base): string {
  return base.kind === "npm" ? base.deno : Deno.version.deno;
}

/** @returns the innermost cause that Deno tells, if it was the base that failed. */
export function baseFailure(said: string): string | undefined {
  if (!/base binary/i.test(said)) return undefined;
  const [report = ""] = said.split(/^Stack backtrace/m);
  return [...report.matchAll(/^ *\d+: (.+)$/gm)].at(-1)?.[1] ?? report.trim().split("\n").at(-1);
}
