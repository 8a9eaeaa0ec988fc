/** Time from start to exit: the executable against an empty program on the same runtime base. */

import { join } from "node:path";
import { root } from "../build/bundle.ts";
import { makeExecutable } from "../build/executable.ts";
import { chooseBase, hostTarget } from "../build/runtime_base.ts";
import { progress } from "../progress.ts";
import { Mistake } from "../terminal.ts";
import { createBenchCgroup, makeChildren } from "./cgroups.ts";
import { makeBenchFolder } from "./folders.ts";
import { against, type Measured, type Row, summarize } from "./statistics.ts";

const RUNS = 40;
const VERSION_TARGET = 1.5;
const INSPECT_TARGET = 2;

/** `OOMKIT_BIN`, or the result of `deno task compile`. */
export const executable = Deno.env.get("OOMKIT_BIN") ?? join(root, "dist/oomkit");

export async function startUp(): Promise<Measured> {
  const folder = makeBenchFolder();
  try {
    const empty = await makeEmptyProgram(join(folder, "empty"), versionOf(executable));
    const [cgroup] = makeChildren(createBenchCgroup(), 1);
    const times = await measureInTurn({
      empty: [empty],
      version: [executable, "--version"],
      inspect: [executable, "inspect", cgroup!.path],
      help: [executable, "--help"],
      node: [executable, "inspect"],
    }, RUNS);
    return { tables: [{ title: "start-up", unit: "ms", rows: rows(times) }], lines: [] };
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function rows(times: Readonly<Record<string, readonly number[]>>): Row[] {
  const row = (name: string, what: string, target?: number): Row => {
    const summary = summarize(times[name]!);
    const ratio = summary.median / summarize(times["empty"]!).median;
    const remark = target === undefined ? `${ratio.toFixed(2)} ×` : against(target, ratio, "×");
    return { what, summary, remark };
  };
  return [
    row("empty", "an empty compiled program"),
    row("version", "oomkit --version", VERSION_TARGET),
    row("inspect", "oomkit inspect <one cgroup>", INSPECT_TARGET),
    row("help", "oomkit --help"),
    row("node", "oomkit inspect, without a target"),
  ];
}

/** Milliseconds of each run. In turn, so that other load affects all alike. */
export async function measureInTurn<Name extends string>(
  commands: Readonly<Record<Name, readonly string[]>>,
  runs: number,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(commands) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<
    Name,
    number[]
  >;
  for (let run = 0; run < runs; run++) {
    progress.show("bench: start-up", run, runs);
    for (const name of names) times[name].push(millisecondsOf(commands[name]));
    // Signals are handled only here.
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return times;
}

function millisecondsOf([program, ...args]: readonly string[]): number {
  const command = new Deno.Command(program!, {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  const start = performance.now();
  const { success, code } = command.outputSync();
  const time = performance.now() - start;
  if (success) return time;
  throw new Mistake(`cannot measure ${[program, ...args].join(" ")}: it ends with ${code}`);
}

/** @param version of the executable to compare with, which names its runtime base @param text the program. */
export async function makeEmptyProgram(
  output: string,
  version: string,
  text = "",
): Promise<string> {
  const script = `${output}.js`;
  Deno.writeTextFileSync(script, text);
  const target = hostTarget();
  if (target === undefined) throw new Mistake(`cannot compile for ${Deno.build.target}`);
  const base = await chooseBase({
    wish: version.includes("runtime base from npm") ? "npm" : undefined,
    target,
    environment: Deno.env.get("DENORT_BIN"),
    cacheFolder: join(root, "dist/denort"),
  });
  await makeExecutable({ base, target, script, output });
  return output;
}

/** @throws Mistake when there is no such executable. */
export function versionOf(program: string): string {
  try {
    const { stdout } = new Deno.Command(program, { args: ["--version"] }).outputSync();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    throw new Mistake(
      `cannot run ${program}: ${(error as Error).name}; deno task compile makes it`,
    );
  }
}
