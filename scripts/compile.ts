/**
 * Builds the executable: `deno task compile [--target TARGET] [--denort=npm] [--output FILE]`.
 *
 * Bundled first, as the packages then cost 8 ms at start-up and not 17, and 3 MB and not 10. Without a code cache: the
 * program would keep it under a name in TMPDIR that anybody can take first, which is nothing for a daemon of root's.
 */

import { parseArgs } from "node:util";
import { join, relative, resolve } from "node:path";
import { bundle, deno, root, succeed } from "./bundle.ts";
import { neutral } from "./neutral_bundle.ts";
import { type Base, chooseBase, hostTarget, type Target, targets, wishes } from "./runtime_base.ts";
import { Mistake, note, run } from "./terminal.ts";

const dist = join(root, "dist");

/** Seconds; the official base is 40 MB, and a network that swallows packets gives no error at all. */
const compileTimeout = 180;

if (import.meta.main) await run("compile", main);

async function main(): Promise<number> {
  const { target, denort, output } = parse(Deno.args);
  const base = await chooseBase({
    wish: denort,
    target,
    environment: Deno.env.get("DENORT_BIN"),
    cacheFolder: join(dist, "denort"),
  });
  note("compile: checking the types");
  await deno(["check", "--quiet", "--frozen", "cli/main.ts"]);
  note("compile: bundling");
  Deno.mkdirSync(dist, { recursive: true });
  Deno.writeTextFileSync(join(dist, "entry.ts"), entryText(base, target));
  await bundle(join(dist, "entry.ts"), join(dist, "oomkit.js"));
  makeReproducible(join(dist, "oomkit.js"));
  note(`compile: putting it on the ${base.kind} runtime base`);
  await compile(base, target, output);
  note(`compile: ${relative(Deno.cwd(), output)}, ${base.kind} runtime base, ${target}`);
  return 0;
}

function parse(args: string[]) {
  const { values } = parsed(args);
  const target = targets.find((known) => known === (values.target ?? hostTarget()));
  if (target === undefined) {
    throw new Mistake(`cannot compile for "${values.target}": it must be ${targets.join(" or ")}`);
  }
  const denort = wishes.find((known) => known === values.denort);
  if (denort !== values.denort) {
    throw new Mistake(`cannot use --denort=${values.denort}: it must be ${wishes.join(" or ")}`);
  }
  const name = target === hostTarget() ? "oomkit" : `oomkit-${target.split("-")[0]}`;
  return { target, denort, output: resolve(values.output ?? join(dist, name)) };
}

function parsed(args: string[]) {
  const option = { type: "string" } as const;
  try {
    return parseArgs({ args, options: { target: option, denort: option, output: option } });
  } catch (error) {
    throw new Mistake(`${(error as Error).message}; known are --target, --denort and --output`);
  }
}

/** No time of day, no path of this machine: the same commit gives the same bytes. */
function entryText(base: Base, target: Target): string {
  const build = { commit: commit(), denort: base.kind, target, deno: compilerVersion(base) };
  return `import { main } from "../cli/main.ts";\nawait main(${JSON.stringify(build)});\n`;
}

/** The executable carries the time of its file. */
function makeReproducible(path: string): void {
  Deno.writeTextFileSync(path, neutral(Deno.readTextFileSync(path)));
  Deno.utimeSync(path, 0, 0);
}

function commit(): string {
  const head = git("rev-parse", "--short=12", "HEAD");
  if (head === undefined) return "unknown";
  return git("status", "--porcelain") === "" ? head : `${head}-dirty`;
}

function git(...args: string[]): string | undefined {
  try {
    const { success, stdout } = new Deno.Command("git", { args, cwd: root, stderr: "null" })
      .outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function compilerVersion(base: Base): string {
  return base.kind === "npm" ? base.deno : Deno.version.deno;
}

async function compile(base: Base, target: Target, output: string): Promise<void> {
  const flags = ["-A", "--quiet", "--frozen", "--no-check", "--no-code-cache", "--target", target];
  const signal = AbortSignal.timeout(compileTimeout * 1000);
  const environment = base.kind === "official" ? {} : { DENORT_BIN: base.path };
  const version = compilerVersion(base);
  const [program, ...first]: [string, ...string[]] = version === Deno.version.deno
    ? [Deno.execPath()]
    : ["npx", "-y", `deno@${version}`];
  const args = [...first, "compile", ...flags, "-o", output, join(dist, "oomkit.js")];
  try {
    await succeed(program, args, { env: environment, signal });
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    if (base.kind !== "official") throw error;
    const late = signal.aborted ? `no answer within ${compileTimeout} s` : undefined;
    const cause = late ?? baseFailure(error.message);
    if (cause === undefined) throw error;
    throw new Mistake(
      `cannot get the official runtime base for ${target}: ${cause}; connect this machine to Deno's site, ` +
        "or set DENORT_BIN to a denort executable, or take --denort=npm (for building and testing)",
    );
  }
}

/** @returns the innermost cause that Deno tells, if it was the base that failed. */
export function baseFailure(said: string): string | undefined {
  if (!/base binary/i.test(said)) return undefined;
  const [report = ""] = said.split(/^Stack backtrace/m);
  return [...report.matchAll(/^ *\d+: (.+)$/gm)].at(-1)?.[1] ?? report.trim().split("\n").at(-1);
}
