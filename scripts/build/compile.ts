/**
 * Builds the executable: `deno task compile [--target TARGET] [--denort=npm] [--output FILE] [--no-check]`.
 *
 * `--no-check` is for scripts/test, which checks the types of all sources beside other stages.
 *
 * Bundled first, into files of which each command loads only its own: see bundle.ts and docs/performance.md.
 */

import { parseArgs } from "node:util";
import { join, relative, resolve } from "node:path";
import { deno, git, root } from "../command.ts";
import { removeIfThere } from "../files.ts";
import { endWithProgress, Mistake, note, parsed, progress, run } from "../terminal.ts";
import { bundle } from "./bundle.ts";
import {
  type Base,
  chooseBase,
  compilerVersion,
  hostTarget,
  makeExecutable,
  type Target,
  targets,
  wishes,
} from "./executable.ts";

const dist = join(root, "dist");

/** Loaded by name from beside the bundled caller: `workerScript` in core/guard/thread/handle.ts. */
const workerModules = { "worker.ts": "core/guard/thread/worker.ts" };

/** Steps of the progress line. */
const STEPS = 4;

async function main(): Promise<number> {
  const { target, denort, output, checksTypes } = parse(Deno.args);
  let made: string | undefined;
  // A program that still writes into it may keep it; the next compilation uses another directory.
  endWithProgress(() => void (made !== undefined && removeIfThere(made)));
  progress.show("compile: choosing the runtime base", 0, STEPS);
  const base = await chooseBase({
    wish: denort,
    target,
    environment: Deno.env.get("DENORT_BIN"),
    cacheDirectory: join(dist, "denort"),
  });
  if (checksTypes) {
    note("compile: checking the types");
    progress.show("compile: checking the types", 1, STEPS);
    await deno(["check", "--quiet", "--frozen", "cli/main.ts", ...Object.values(workerModules)]);
  }
  Deno.mkdirSync(dist, { recursive: true });
  // A directory per run, so that two runs do not collide; its depth is part of the source maps.
  const work = made = Deno.makeTempDirSync({ dir: dist, prefix: "build-" });
  try {
    note("compile: bundling");
    progress.show("compile: bundling", 2, STEPS);
    Deno.writeTextFileSync(join(work, "oomkit.ts"), await entryText(base, target));
    const directory = join(work, "bundle");
    const workers = Object.entries(workerModules).map(([name, module]) => {
      Deno.writeTextFileSync(join(work, name), `import "../../${module}";\n`);
      return join(work, name);
    });
    const script = await bundle(join(work, "oomkit.ts"), directory, workers);
    note(`compile: putting it on the ${base.kind} runtime base`);
    progress.show(`compile: putting it on the ${base.kind} runtime base`, 3, STEPS);
    await makeExecutable({ base, target, script, directory, output });
  } finally {
    Deno.removeSync(work, { recursive: true });
  }
  note(`compile: ${relative(Deno.cwd(), output)}, ${base.kind} runtime base, ${target}`);
  return 0;
}

function parse(args: string[]) {
  const option = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const options = { target: option, denort: option, output: option, "no-check": flag };
  const { values } = parsed(
    () => parseArgs({ args, options }),
    "known are --target, --denort, --output and --no-check",
  );
  const target = targets.find((known) => known === (values.target ?? hostTarget()));
  if (target === undefined) {
    throw new Mistake(`cannot compile for "${values.target}": it must be ${targets.join(" or ")}`);
  }
  const denort = wishes.find((known) => known === values.denort);
  if (denort !== values.denort) {
    throw new Mistake(`cannot use --denort=${values.denort}: it must be ${wishes.join(" or ")}`);
  }
  const name = target === hostTarget() ? "oomkit" : `oomkit-${target.split("-")[0]}`;
  const output = resolve(values.output ?? join(dist, name));
  return { target, denort, output, checksTypes: !values["no-check"] };
}

/** No time of day, no path of this machine: the same commit gives the same bytes. */
async function entryText(base: Base, target: Target): Promise<string> {
  const build = { commit: await commit(), denort: base.kind, target, deno: compilerVersion(base) };
  return `import { main } from "../../cli/main.ts";\nawait main(${JSON.stringify(build)});\n`;
}

async function commit(): Promise<string> {
  const head = await git("rev-parse", "--short=12", "HEAD");
  if (head === undefined) return "unknown";
  return await git("status", "--porcelain") === "" ? head : `${head}-dirty`;
}

if (import.meta.main) await run("compile", main);
