/**
 * Makes a release: `deno task release [--denort=npm] [--output DIR] [--check]`. DIR is dist/release without it.
 *
 * The same commit gives the same bytes; `--check` makes it twice and compares.
 */

import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { VERSION } from "../cli/version.ts";
import { type Base, NPM_DENO, wishes } from "./build/executable.ts";
import { deno, git, root } from "./command.ts";
import { isThere, removeIfThere } from "./files.ts";
import { architectures } from "./release/architectures.ts";
import { debianFiles } from "./release/debian_files.ts";
import { makeRelease } from "./release/release.ts";
import type { Build, Source } from "./release/source.ts";
import { endWithProgress, Mistake, note, parsed, printLine, progress, run } from "./terminal.ts";

async function main(): Promise<number> {
  const { denort, output, check } = parse(Deno.args);
  const source = await sourceOf();
  checkReplaceable(output);
  Deno.mkdirSync(dirname(output), { recursive: true });
  // Beside the result, which is renamed.
  const work = Deno.makeTempDirSync({ dir: dirname(output), prefix: "release-" });
  endWithProgress(() => removeIfThere(work));
  try {
    const runs = check ? ["release", "again"] : ["release"];
    const sums: string[] = [];
    for (const name of runs) {
      const directory = join(work, name);
      Deno.mkdirSync(directory);
      progress.show(`release: making ${relative(root, output)}`, sums.length, runs.length);
      sums.push(await makeRelease(await compileInto(work, source, denort), directory));
    }
    const different = differences(sums);
    if (different.length > 0) {
      throw new Mistake(`two runs made different bytes of ${different.join(", ")}`);
    }
    removeIfThere(output);
    Deno.renameSync(join(work, "release"), output);
    printLine(sums[0]!.trimEnd());
  } finally {
    removeIfThere(work);
  }
  note(`release: ${relative(Deno.cwd(), output)}, oomkit ${source.version}, ${source.commit}`);
  if (check) note("release: a second run made the same bytes");
  if (denort !== "official") note("release: not on Deno's official runtime base: not for release");
  return 0;
}

function parse(args: string[]) {
  const { values } = parsed(
    () =>
      parseArgs({
        args,
        options: {
          denort: { type: "string", default: "official" },
          output: { type: "string", default: join(root, "dist/release") },
          check: { type: "boolean", default: false },
        },
      }),
    "known are --denort, --output and --check",
  );
  const denort = wishes.find((known) => known === values.denort);
  if (denort === undefined) {
    throw new Mistake(`cannot use --denort=${values.denort}: it must be ${wishes.join(" or ")}`);
  }
  return { denort, output: resolve(values.output), check: values.check };
}

/** @throws Mistake where something else than an earlier release would be removed. */
function checkReplaceable(output: string): void {
  if (!isThere(output) || isThere(join(output, "SHA256SUMS"))) return;
  throw new Mistake(`cannot replace ${output}: it is no earlier release; remove it first`);
}

/** @throws Mistake outside a git checkout: without its time two runs would differ. */
async function sourceOf(): Promise<Source> {
  const head = await git("rev-parse", "HEAD");
  const time = await git("show", "--no-patch", "--format=%ct", "HEAD");
  if (head === undefined || time === undefined) {
    throw new Mistake("cannot read the commit: a release is made from a git checkout");
  }
  const isClean = await git("status", "--porcelain") === "";
  return { version: VERSION, commit: isClean ? head : `${head}-dirty`, time: Number(time) };
}

async function compileInto(work: string, source: Source, denort: Base["kind"]) {
  const builds: Build[] = [];
  for (const architecture of architectures) {
    const executable = join(work, `oomkit-${architecture.machine}`);
    note(`release: compiling for ${architecture.target}`);
    await deno([
      ...["run", "-A", "--quiet", "--no-check", "scripts/build/compile.ts"],
      ...[`--denort=${denort}`, `--target=${architecture.target}`, `--output=${executable}`],
    ]);
    builds.push({ ...source, architecture, executable, debian: await debianFiles(architecture) });
  }
  const version = denort === "npm" ? NPM_DENO : Deno.version.deno;
  return { source, builds, deno: version, base: denort };
}

/** The names of the files with different checksums. */
function differences([first = "", second = first]: readonly string[]): string[] {
  const others = new Set(second.split("\n"));
  return first.split("\n").filter((line) => !others.has(line)).map((line) => line.split("  ")[1]!);
}

if (import.meta.main) await run("release", main);
