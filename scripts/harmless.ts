/**
 * Runs workloads that live without a guard, and shows that they live below one: `oomkit guard` kills nothing that the kernel would
 * not have killed. Each runs in a cgroup of its own, without a guard and then below one, on this kernel or an emulated one:
 *
 *     deno task harmless [name…] [--runs 3] [--guest v2] [--part 1/3] [--record FILE]
 *
 * Controls exceed their limit, so that a guard that never kills would be noticed. Needs the executable (`deno task compile`) and
 * the right to make cgroups: oomkit-harmless-…, which are removed. Exit: 0 when all are harmless, 1 when one is not, 2 when it
 * cannot run. --record keeps what the guard decided by (`oomkit simulate --replay`). What runs: scripts/harmless/workloads.ts.
 */

import { basename, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { omitUndefined } from "../core/omit_undefined.ts";
import { conditions } from "./bench/records.ts";
import { bundle } from "./build/bundle.ts";
import { executable } from "./command.ts";
import { isThere } from "./files.ts";
import { runInGuest } from "./guest_kernel/guest.ts";
import { countOf, eventLine, isAllRight, tableLines, verdictOf } from "./harmless/results.ts";
import { Harmless, obstacleTo, type Pending } from "./harmless/run.ts";
import { type Workload, WORKLOADS } from "./harmless/workloads.ts";
import { interruption, Mistake, note, parsed, pass, printLine, progress, run } from "./terminal.ts";

const options = {
  runs: { type: "string", default: "1" },
  guest: { type: "string" },
  record: { type: "string" },
  part: { type: "string" },
} as const;

async function main(): Promise<number> {
  const { values, positionals } = parsed(
    () => parseArgs({ args: Deno.args, options, allowPositionals: true }),
    "known are names of workloads, --runs, --guest, --part and --record",
  );
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) {
    throw new Mistake(`cannot use --runs ${values.runs}: it must be a whole number above 0`);
  }
  const workloads = partOf(named(positionals), values.part ?? "1/1");
  const signal = interruption();
  if (values.guest !== undefined) {
    const names = workloads.map(({ name }) => name);
    return await runInside(values.guest, names, runs, values.record, signal);
  }
  if (!isThere(executable)) throw new Mistake(`there is no ${executable}; deno task compile`);
  return await compare(workloads, runs, values.record, signal);
}

function named(names: readonly string[]): readonly Workload[] {
  if (names.length === 0) return WORKLOADS;
  return names.map((name) => {
    const found = WORKLOADS.find((workload) => workload.name === name);
    if (found) return found;
    const known = WORKLOADS.map(({ name }) => name).join(", ");
    throw new Mistake(`cannot run "${name}": it must be one of ${known}`);
  });
}

/** @param part `2/3`: the second third. */
function partOf(workloads: readonly Workload[], part: string): readonly Workload[] {
  const [, nth, of] = (/^([1-9]\d?)\/([1-9]\d?)$/.exec(part) ?? []).map(Number);
  if (nth === undefined || of === undefined || nth > of) {
    throw new Mistake(`cannot run --part ${part}: it must be as 2/3`);
  }
  const share = Math.ceil(workloads.length / of);
  return workloads.slice((nth - 1) * share, nth * share);
}

async function compare(
  workloads: readonly Workload[],
  runs: number,
  recording: string | undefined,
  signal: AbortSignal,
): Promise<number> {
  const { commit, program, kernel } = await conditions();
  await using harmless = await Harmless.start(executable, recording);
  const { version } = harmless.machine;
  const pending: Pending[] = [];
  const left: string[] = [];
  for (const [at, workload] of workloads.entries()) {
    if (signal.aborted) throw new Mistake("interrupted");
    const obstacle = obstacleTo(workload, harmless.machine);
    if (obstacle !== undefined) {
      left.push(`not run: ${workload.name}: ${obstacle}`);
      continue;
    }
    const show = () => progress.show(`harmless: ${workload.name}`, at, workloads.length);
    const done = await harmless.measure(workload, runs, show);
    note(`harmless: ${codesOf(done)}`);
    pending.push(done);
  }
  const results = await harmless.results(pending);
  progress.end();
  for (const line of [...tableLines(results), ...left]) printLine(line);
  for (const result of results) {
    if (!["NOT HARMLESS", "UNFIT"].includes(verdictOf(result))) continue;
    printLine(`${result.workload.name}: ${result.workload.what}`);
    for (const event of harmless.eventsOf(result.workload)) printLine(eventLine(event));
  }
  const { harmless: count, counted } = countOf(results);
  printLine(
    `harmless: ${count} of ${counted} (cgroup v${version}, Linux ${kernel}, ${program}, ` +
      `commit ${Deno.env.get("HARMLESS_COMMIT") ?? commit}, runs of each: ${runs})`,
  );
  return isAllRight(results) ? 0 : 1;
}

/** Shown at once: what the guard did is known at the end. */
function codesOf({ workload: { name }, alone, guarded }: Pending): string {
  const codes = (outcomes: Pending["alone"]) => outcomes.map(({ code }) => code).join(" ");
  return `${name}: exits with ${codes(alone)}, with a guard ${codes(guarded)}`;
}

const MACHINE_MEMORY = 2048;
const DISK = 1200;
const SWAP = 256;
const MAX_SECONDS = 600;

/** The same in an emulated machine, which has neither the sources nor the packages; it has swap, too. */
async function runInside(
  version: string,
  names: readonly string[],
  runs: number,
  recording: string | undefined,
  signal: AbortSignal,
): Promise<number> {
  if (version !== "v1" && version !== "v2") {
    throw new Mistake(`cannot run in a guest of "${version}": it must be v1 or v2`);
  }
  const { commit } = await conditions();
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-harmless-" });
  const inGuest = "deno run -A --no-check --no-config /harmless/main/harmless.js";
  const makeSwap =
    `dd if=/dev/zero of=/disk/swap bs=1M count=${SWAP} 2>/dev/null && mkswap /disk/swap >/dev/null && swapon /disk/swap`;
  try {
    await bundle(fileURLToPath(import.meta.url), `${directory}/main`);
    const memoryProgram = new URL("./harmless/memory_program.ts", import.meta.url);
    await bundle(fileURLToPath(memoryProgram), `${directory}/memory`);
    const { code, failure, console } = await runInGuest({
      cgroup: version,
      deno: true,
      command: [
        ...["sh", "-c", `${makeSwap} && exec ${inGuest} "$@"`, "sh"],
        ...[...names, "--runs", String(runs)],
        ...recording === undefined ? [] : ["--record", `/out/${basename(recording)}`],
      ],
      environment: {
        NO_COLOR: "1",
        DENO_NO_UPDATE_CHECK: "1",
        TMPDIR: "/disk",
        TERM: "dumb",
        HARMLESS_COMMIT: commit,
        ...omitUndefined({ HARMLESS_STDERR: Deno.env.get("HARMLESS_STDERR") }),
      },
      files: { "/harmless": directory },
      memory: MACHINE_MEMORY,
      disk: DISK,
      limit: MAX_SECONDS,
      signal,
      onOutput: pass,
      onStage: (what) => progress.show(`harmless: ${what} in the guest`),
      ...omitUndefined({
        executable: Deno.env.get("OOMKIT_BIN"),
        out: recording === undefined ? undefined : dirname(resolve(recording)),
      }),
    });
    if (code !== undefined) return code;
    note(console.trimEnd());
    throw new Mistake(`no result from the guest: ${failure}`);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

if (import.meta.main) await run("harmless", main);
