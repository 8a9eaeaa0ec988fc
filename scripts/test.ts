/**
 * Runs every test that can run on this machine, and names the others with the reason.
 *
 *     scripts/test [--only fmt,lint,check,layers,words,compile,unit,newest-deno,v1,v2,kernels,soak]
 *     scripts/test --help
 *
 * With CI=true a stage that could not run counts as failed. The emulated machines run two at a time, beside the checks, the tests of
 * the executable, the unit tests (on the newest Deno too), the soak, and those on this machine's own kernel that do not measure
 * time. The others run alone at the end.
 */

import { parseArgs } from "node:util";
import { interruption, Mistake, parsed, printLine, progress, run } from "./terminal.ts";
import { check, compile, soakStage } from "./test_stages/checks.ts";
import { lastLine, type Outcome, total } from "./test_stages/deno_tests.ts";
import { chosenCombinations, MATRIX_VARIABLE, type Version } from "./test_stages/kernel_matrix.ts";
import {
  executableTests,
  guestParts,
  hostObstacle,
  inGuest,
  onKernel,
  throughExecutable,
  throughLauncher,
} from "./test_stages/kernels.ts";
import { newestDenoTests, pinnedDenoTests } from "./test_stages/unit.ts";

interface Part {
  readonly run: () => Promise<Outcome>;
  readonly lane: Lane;
}

/** The three in the middle run beside each other, between what is first and what is alone. */
type Lane = keyof typeof MAX_AT_ONCE;

/**
 * At most this many at once. An emulated machine has two CPUs, and its tests have deadlines. Tests on this machine's own kernel mostly
 * wait: those of v1 use 161 s of CPU in 370 s, the soak 27 s in 190 s.
 * Two light ones at once, tried on two CPUs, saved no time in all, and tests failed that were slow.
 */
const MAX_AT_ONCE = { first: 1, emulated: 2, light: 1, host: 1, alone: 1 } as const;

/** The arguments of Deno, by stage. */
const CHECKS = {
  fmt: ["fmt", "--check"],
  lint: ["lint", "--quiet"],
  check: ["check", "--quiet", "--frozen", "cli", "core", "tests", "scripts"],
  layers: ["run", "--allow-read", "--no-check", "scripts/layers.ts"],
  words: ["run", "-A", "--no-check", "scripts/words.ts"],
};

async function main(): Promise<number> {
  const { only, help } = options();
  const signal = interruption();
  const stages = stagesUnder(signal);
  if (help) {
    printLine(usage(Object.keys(stages)));
    return 0;
  }
  const chosen = choice(only, Object.keys(stages));
  const strict = Deno.env.get("CI") === "true";
  const parts = Object.entries(stages).filter(([name]) => chosen.includes(name))
    .flatMap(([name, parts]) => parts.map((part) => ({ name, ...part })));
  const running: string[] = [];
  let done = 0;
  const tell = () => progress.show(`test: ${running.join(" and ")}`, done, parts.length);
  const perform = ({ name, run }: typeof parts[number]) => async () => {
    running.push(name);
    tell();
    const start = performance.now();
    const outcome = await run();
    running.splice(running.indexOf(name), 1);
    done++;
    if (running.length > 0) tell();
    if (signal.aborted) throw new Mistake(`interrupted in the stage "${name}"`);
    show(outcome, (performance.now() - start) / 1000, strict);
    return outcome;
  };
  const cpus = navigator.hardwareConcurrency;
  const lanesOf = (kind: Lane) =>
    inLanes(
      parts.filter(({ lane }) => lane === kind).map(perform),
      Math.min(MAX_AT_ONCE[kind], cpus),
    );
  const outcomes = [
    ...await lanesOf("first"),
    ...(await Promise.all([lanesOf("emulated"), lanesOf("light"), lanesOf("host")])).flat(),
    ...await lanesOf("alone"),
  ];
  const totals = total(outcomes, strict);
  printLine(lastLine(totals));
  return totals.failed === 0 ? 0 : 1;
}

/** Each lane runs its own in this order. */
function stagesUnder(signal: AbortSignal): Record<string, Part[]> {
  const checks = Object.entries(CHECKS).map(([name, args]): [string, Part[]] => [
    name,
    [{ run: () => check(name, args, signal), lane: "light" }],
  ]);
  return {
    ...Object.fromEntries(checks),
    compile: [
      { run: () => compile(signal), lane: "first" },
      { run: () => executableTests("others", signal), lane: "light" },
      { run: () => executableTests("measuring", signal), lane: "alone" },
    ],
    unit: [{ run: () => pinnedDenoTests(signal), lane: "light" }],
    "newest-deno": [{ run: () => newestDenoTests(signal), lane: "light" }],
    v1: kernelParts("v1", signal),
    v2: kernelParts("v2", signal),
    kernels: matrixParts(signal),
    soak: [{ run: () => soakStage(signal), lane: "host" }],
  };
}

/** v1 runs in the guest as well: on a second kernel, the one of v2. */
function kernelParts(version: Version, signal: AbortSignal): Part[] {
  const noHost = hostObstacle(version);
  const parts: Part[] = [];
  if (noHost === undefined) {
    for (const through of [throughLauncher, throughExecutable]) {
      parts.push({ run: () => through(version, "others", signal), lane: "host" });
      parts.push({ run: () => through(version, "measuring", signal), lane: "alone" });
    }
  }
  if (noHost === undefined && version !== "v1") return parts;
  const guests = guestParts(version);
  guests.forEach((files, at) => {
    const part = guests.length > 1 ? ` ${at + 1} of ${guests.length}` : "";
    parts.push({ run: () => inGuest(version, files, part, noHost, signal), lane: "emulated" });
  });
  return parts;
}

/** A variable that names combinations asks for all their tests; the one of the day is to take little time. */
function matrixParts(signal: AbortSignal): Part[] {
  const names = Deno.env.get(MATRIX_VARIABLE);
  return chosenCombinations(names, Date.now()).map((combination) => ({
    run: () => onKernel(combination, names !== undefined, signal),
    lane: "emulated",
  }));
}

function show(outcome: Outcome, seconds: number, strict: boolean): void {
  const { what, passed, failed, skipped, remark, failures } = outcome;
  if (passed + failed > 0) {
    const state = failed > 0 ? "FAILED" : "ok    ";
    const counts = `${passed} passed, ${failed} failed, ${skipped.length} skipped`;
    printLine(
      `${state}  ${what}: ${counts}, ${seconds.toFixed(1)} s${remark ? `; ${remark}` : ""}`,
    );
  }
  for (const reason of skipped) printLine(`${strict ? "FAILED" : "skipped"}: ${what}: ${reason}`);
  if (failures !== undefined) printLine(failures);
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

function options() {
  const options = { only: { type: "string" }, help: { type: "boolean", short: "h" } } as const;
  const parse = () => {
    try {
      return parseArgs({ args: Deno.args, options }).values;
    } catch (error) {
      // After its first sentence node:util advises on positional arguments, which do not exist here.
      throw new Error((error as Error).message.split(/\.(?: |$)|\n/)[0]);
    }
  };
  return parsed(parse, "known are --only STAGE,… and --help");
}

/**
 * At most as many jobs at once as there are lanes. Begins them in their order; the results are in the same order. Rejects with
 * the first that rejects.
 */
export async function inLanes<Result>(
  jobs: readonly (() => Promise<Result>)[],
  lanes: number,
): Promise<Result[]> {
  const results: Result[] = [];
  const waiting = [...jobs.entries()];
  const lane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [at, job] = next;
      results[at] = await job();
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}

if (import.meta.main) await run("test", main);
