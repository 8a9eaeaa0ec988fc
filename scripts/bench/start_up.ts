/** Time from start to exit: the executable against an empty program on the same runtime base. */

import { join } from "node:path";
import { delay } from "../../core/timing.ts";
import { chooseBase, hostTarget, makeExecutable } from "../build/executable.ts";
import { executable, root } from "../command.ts";
import { Mistake, progress } from "../terminal.ts";
import { createBenchCgroup, makeBenchDirectory, makeChildren } from "./cleanup.ts";
import { against, type Measured, type Row, row, summarize } from "./statistics.ts";

const RUNS = 40;
const VERSION_TARGET = 1.5;
const INSPECT_TARGET = 2;

export async function startUp(): Promise<Measured> {
  const empty = await makeEmptyProgram(join(makeBenchDirectory(), "empty"), versionOf(executable));
  const [cgroup] = makeChildren(createBenchCgroup(), 1);
  const times = await measureInTurn({
    empty: [empty],
    version: [executable, "--version"],
    inspect: [executable, "inspect", cgroup!.path],
    help: [executable, "--help"],
    node: [executable, "inspect"],
  }, RUNS);
  const compared = (name: keyof typeof times, what: string, target?: number): Row => {
    const ratio = summarize(times[name]).median / summarize(times.empty).median;
    const remark = target === undefined ? `${ratio.toFixed(2)} ×` : against(target, ratio, "×");
    return row(what, times[name], remark);
  };
  const rows = [
    compared("empty", "an empty compiled program"),
    compared("version", "oomkit --version", VERSION_TARGET),
    compared("inspect", "oomkit inspect <one cgroup>", INSPECT_TARGET),
    compared("help", "oomkit --help"),
    compared("node", "oomkit inspect, without a target"),
  ];
  return { tables: [{ title: "start-up", unit: "ms", rows }], lines: [] };
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
    await delay(0);
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
    cacheDirectory: join(root, "dist/denort"),
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
