/**
 * Runs every test that can run on this machine, and names the others with the reason.
 *
 *     scripts/test [--only fmt,lint,check,layers,unit,compile,v1,v2]
 *     scripts/test --help
 *
 * With CI=true what could not run counts as failed. Stages run one after the other: the tests on real kernels measure
 * time, and two cores are few.
 */

import { parseArgs } from "node:util";
import { root } from "./bundle.ts";
import { check, compile } from "./stages/checks.ts";
import { denoTests } from "./stages/deno_tests.ts";
import { executableTests } from "./stages/executable_tests.ts";
import {
  executable,
  guestObstacle,
  hostObstacle,
  inGuest,
  throughExecutable,
  throughLauncher,
  type Version,
} from "./stages/kernels.ts";
import { lastLine, missing, type Outcome, total } from "./stages/outcome.ts";
import { Mistake, note, run, say } from "./terminal.ts";

type Part = () => Promise<Outcome>;

const unitFolders = [
  "tests/cli",
  "tests/core",
  "tests/deploy",
  "tests/faults",
  "tests/fuzz",
  "tests/scripts",
  "tests/security",
];

/** Seconds. */
const unitLimit = 300;

if (import.meta.main) await run("test", main);

async function main(): Promise<number> {
  const { only, help } = parsed();
  const signal = interruption();
  const stages = stagesUnder(signal);
  if (help) {
    say(usage(Object.keys(stages)));
    return 0;
  }
  const chosen = choice(only, Object.keys(stages));
  const strict = Deno.env.get("CI") === "true";
  const outcomes: Outcome[] = [];
  for (const [name, parts] of Object.entries(stages)) {
    if (!chosen.includes(name)) continue;
    for (const part of parts) {
      if (Deno.stderr.isTerminal()) note(`running ${name} …`);
      const start = performance.now();
      const outcome = await part();
      if (signal.aborted) throw new Mistake(`interrupted in the stage "${name}"`);
      show(outcome, (performance.now() - start) / 1000, strict);
      outcomes.push(outcome);
    }
  }
  const totals = total(outcomes, strict);
  say(lastLine(totals));
  return totals.failed === 0 ? 0 : 1;
}

function stagesUnder(signal: AbortSignal): Record<string, Part[]> {
  const folders = unitFolders.filter(isFolder);
  return {
    fmt: [() => check("fmt", ["fmt", "--check"], signal)],
    lint: [() => check("lint", ["lint", "--quiet"], signal)],
    check: [() => check("check", ["check", "--quiet", "--frozen", ...sources()], signal)],
    layers: [
      () => check("layers", ["run", "--allow-read", "--no-check", "scripts/layers.ts"], signal),
    ],
    unit: [() => denoTests({ what: "unit", paths: folders, limit: unitLimit, signal })],
    compile: [() => compile(executable, signal), () => executableTests(signal)],
    v1: kernelParts("v1", signal),
    v2: kernelParts("v2", signal),
  };
}

/** v1 runs in the guest as well: two kernels, and the same one as for v2. */
function kernelParts(version: Version, signal: AbortSignal): Part[] {
  const noHost = hostObstacle(version);
  const parts: Part[] = [];
  if (noHost === undefined) {
    parts.push(() => throughLauncher(version, signal), () => throughExecutable(version, signal));
  }
  if (noHost !== undefined || version === "v1") {
    parts.push(async () => {
      const noGuest = guestObstacle();
      if (noGuest === undefined) return await inGuest(version, signal);
      return missing(
        `real ${version}`,
        noHost === undefined ? noGuest : `${noHost}, and ${noGuest}`,
      );
    });
  }
  return parts;
}

function show(outcome: Outcome, seconds: number, strict: boolean): void {
  const { what, passed, failed, skipped, remark, failures } = outcome;
  if (passed + failed > 0) {
    const state = failed > 0 ? "FAILED" : "ok    ";
    const counts = `${passed} passed, ${failed} failed, ${skipped.length} skipped`;
    say(`${state}  ${what}: ${counts}, ${seconds.toFixed(1)} s${remark ? `; ${remark}` : ""}`);
  }
  for (const reason of skipped) say(`${strict ? "FAILED" : "skipped"}: ${what}: ${reason}`);
  if (failures !== undefined) say(failures);
}

function usage(stages: readonly string[]): string {
  return `Usage: scripts/test [--only STAGE,…]

Runs every test that can run on this machine, and names the others with the reason.

  --only STAGE,…  only these stages: ${stages.join(", ")}
  --help          this text

With CI=true in the environment, what could not run counts as failed.
Exit: 0 when nothing failed, 1 when something did, 2 for a mistake in the arguments.`;
}

function choice(only: string | undefined, known: string[]): string[] {
  const names = only === undefined ? known : only.split(",");
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return names;
  throw new Mistake(`cannot run the stage "${unknown}": it must be one of ${known.join(", ")}`);
}

function parsed(): { readonly only?: string; readonly help?: boolean } {
  const options = { only: { type: "string" }, help: { type: "boolean", short: "h" } } as const;
  try {
    return parseArgs({ args: Deno.args, options }).values;
  } catch (error) {
    // What node:util adds after its first sentence is advice on positional arguments, of which there are none.
    const [what] = (error as Error).message.split(/\.(?: |$)|\n/);
    throw new Mistake(`${what}; known are --only STAGE,… and --help`);
  }
}

function sources(): string[] {
  return ["cli", "core", "tests", "scripts"].filter(isFolder);
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(`${root}${path}`).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Passes on to whatever runs, so that it ends. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(name, () => controller.abort());
  }
  return controller.signal;
}
