/** The tests of the executable, and those on real kernels: this machine's where it has the memory controller, and an emulated one. */

import { join } from "node:path";
import { parseMountinfo } from "../../core/parse/mountinfo.ts";
import { compiled, compiledForArm64, outputOf, root, succeed } from "../command.ts";
import { isThere } from "../files.ts";
import { obstacle, type Run, runTestsInGuest, testFiles } from "../guest_kernel/guest.ts";
import { kernelOfRelease } from "../guest_kernel/debian_kernels.ts";
import { Mistake } from "../terminal.ts";
import { type DenoTests, denoTests, missing, type Outcome, outcomeOf } from "./deno_tests.ts";
import type { Combination, Version } from "./kernel_matrix.ts";

const directory = "tests/kernel";
const launcher = join(root, "scripts/oomkit");

/** Seconds, with room for a busy machine. The emulated one is some ten times slower. */
const hostLimit = 1800;
const guestLimit = 2600;
/** One machine runs all that {@link onKernel} chooses. */
const matrixLimit = 2600;

/** A machine takes some thirteen seconds of CPU to start itself and Deno, and the last one to end should not be alone for long. */
const FILES_IN_GUEST = 9;

/** Why this machine's own kernel cannot be used; undefined if it can. */
export function hostObstacle(version: Version): string | undefined {
  if (Deno.uid() !== 0) return "this user is not root";
  const found = memoryController();
  if (found === version) return undefined;
  return `this machine has ${found === undefined ? "no memory controller" : `it on ${found}`}`;
}

/** Not by the program's own discovery: if that were wrong, its tests would be left out. */
function memoryController(): Version | undefined {
  const mounts = parseMountinfo(Deno.readTextFileSync("/proc/self/mountinfo"));
  if (mounts.some((m) => m.fsType === "cgroup" && m.superOptions.includes("memory"))) return "v1";
  const unified = mounts.find((m) => m.fsType === "cgroup2");
  if (unified === undefined) return undefined;
  const controllers = Deno.readTextFileSync(join(unified.mountPoint, "cgroup.controllers"));
  return controllers.split(/\s/).includes("memory") ? "v2" : undefined;
}

/** How the tests on this machine's own kernel are divided: those that measure time, and the others. */
export type HostTests = "measuring" | "others";

/** The tests of the executable that need no kernel of their own. */
export function executableTests(which: HostTests, signal: AbortSignal): Promise<Outcome> {
  const what = `executable, ${which}`;
  const paths = testFiles(join(root, "tests/executable")).filter(isAmong(which));
  return onHost({ what, program: compiled, paths, limit: 600, signal }, noExecutable());
}

export function throughLauncher(
  version: Version,
  which: HostTests,
  signal: AbortSignal,
): Promise<Outcome> {
  const what = `real ${version}, launcher, ${which}`;
  const paths = hostFiles(which).filter((file) => launcherTests.test(file));
  return onHost({ what, program: launcher, paths, limit: hostLimit, signal }, noTests());
}

export function throughExecutable(
  version: Version,
  which: HostTests,
  signal: AbortSignal,
): Promise<Outcome> {
  const what = `real ${version}, executable, ${which}`;
  const paths = hostFiles(which).filter((file) => !guestOnly.test(file));
  const reason = noTests() ?? noExecutable();
  return onHost({ what, program: compiled, paths, limit: hostLimit, signal }, reason);
}

/** @param reason why they cannot run, if they cannot. */
async function onHost(
  { program, ...tests }: DenoTests & { readonly program: string },
  reason: string | undefined,
): Promise<Outcome> {
  if (reason !== undefined) return missing(tests.what, reason);
  return await denoTests({ ...tests, environment: { OOMKIT_BIN: program } });
}

/**
 * The guest's tests in parts, each for a machine of its own: one of them keeps a little more than one core busy. By the size
 * of the files, which says roughly how long they take.
 */
export function guestParts(version: Version): string[][] {
  const files = guestFiles(version).map((path) => ({ path, weight: Deno.statSync(path).size }));
  return shards(files, Math.ceil(files.length / FILES_IN_GUEST));
}

/**
 * Parts of about the same weight: the heaviest first, each into what is lightest so far.
 * @returns no empty ones; paths sorted within each.
 */
export function shards(
  files: readonly { readonly path: string; readonly weight: number }[],
  count: number,
): string[][] {
  const parts = Array.from({ length: count }, () => ({ weight: 0, paths: [] as string[] }));
  for (const { path, weight } of files.toSorted((one, other) => other.weight - one.weight)) {
    const lightest = parts.reduce((one, other) => other.weight < one.weight ? other : one);
    lightest.weight += weight;
    lightest.paths.push(path);
  }
  return parts.filter(({ paths }) => paths.length > 0).map(({ paths }) => paths.sort());
}

/**
 * Through the executable, as there are no sources in the guest.
 * @param part which one of how many, for the reader. @param noHost why the host's own kernel is not used.
 */
export async function inGuest(
  version: Version,
  files: readonly string[],
  part: string,
  noHost: string | undefined,
  signal: AbortSignal,
): Promise<Outcome> {
  const noGuest = noTests() ?? obstacle() ?? noExecutable();
  if (noGuest !== undefined) {
    return missing(`real ${version}${part}`, noHost ? `${noHost}, and ${noGuest}` : noGuest);
  }
  const what = `real ${version}, executable, guest${part}`;
  const environment = hostRunsTests() ? { BESIDE_HOST: "1" } : {};
  return await guestTests(what, files, { cgroup: version, environment, signal });
}

/** Seconds. Deno names a test that takes longer than 1, 2, 4 and 8 minutes: only a machine that is stuck prints nothing at all. */
const maxSilence = 600;

/**
 * Faults of the emulator (QEMU 7.2, several threads), each seen once; the causes are assumed. It ran the breakpoint that the kernel sets
 * for a moment while another CPU patches a static branch (arch/x86/kernel/alternative.c, text_poke_bp_batch), with Linux 6.12. And it
 * delivered an interrupt to a CPU that had just handed it to the other one, after which a device waited for ever.
 */
const EMULATOR_FAULT = /Oops: int3|No irq handler for vector/;

async function guestTests(
  what: string,
  files: readonly string[],
  run: Pick<Run, "architecture" | "cgroup" | "environment" | "kernel" | "limit" | "signal">,
  options: readonly string[] = [],
): Promise<Outcome> {
  const out = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const report = join(out, "junit.xml");
  const attempt = async () => {
    const pieces: BlobPart[] = [];
    const ended = await runTestsInGuest(files, {
      limit: guestLimit,
      maxSilence,
      ...run,
      executable: run.architecture === "arm64" ? compiledForArm64 : compiled,
      disk: 256,
      out,
      onOutput: (_, bytes) => pieces.push(bytes as BlobPart),
    }, ["--quiet", "--junit-path=/out/junit.xml", ...options]);
    return { ...ended, said: await new Blob(pieces).text() };
  };
  try {
    const first = await attempt();
    const isFaulty = first.code === undefined && EMULATOR_FAULT.test(first.console);
    const { code, said, console, failure } = isFaulty ? await attempt() : first;
    const outcome = code === undefined
      ? outcomeOf(what, 2, "", [said, console, failure].join("\n"))
      : outcomeOf(what, code, Deno.readTextFileSync(report), said);
    return isFaulty
      ? { ...outcome, remark: "second run: a fault of the emulator ended the first" }
      : outcome;
  } finally {
    Deno.removeSync(out, { recursive: true });
  }
}

/**
 * One combination of the matrix, in the guest.
 * @param isWhole all tests of inspect, watch, history and simulate, or a few of each.
 */
export async function onKernel(
  { version, release, architecture = "amd64" }: Combination,
  isWhole: boolean,
  signal: AbortSignal,
): Promise<Outcome> {
  const named = `${version} on Linux ${release}${architecture === "amd64" ? "" : " for arm64"}`;
  const kernel = await kernelOfRelease(release, architecture, signal).catch(mistakeOf);
  if (typeof kernel === "string") return missing(named, kernel);
  const noGuest = noTests() ?? obstacle(kernel, architecture) ?? noExecutable();
  if (noGuest !== undefined) return missing(named, noGuest);
  if (architecture === "arm64") {
    const failed = await compileForArm64(signal).catch(mistakeOf);
    if (failed !== undefined) return missing(named, failed);
  }
  const chosen = !isWhole ? blackBoxInBrief : architecture === "arm64" ? onArm64 : blackBox;
  const files = kernelFiles().filter((file) => chosen.test(file));
  const outcome = await guestTests(`${version} on Linux ${kernel.version}`, files, {
    architecture,
    cgroup: version,
    kernel,
    limit: matrixLimit,
    signal,
  }, isWhole ? [] : [`--filter=/${namesInBrief.join("|")}/`]);
  return isWhole ? outcome : { ...outcome, skipped: outcome.skipped.filter(isInBrief) };
}

/** On the runtime base of this machine's executable. */
async function compileForArm64(signal: AbortSignal): Promise<undefined> {
  const { stdout } = await outputOf(compiled, ["--version"]);
  const base = stdout.includes("runtime base from npm") ? "npm" : "official";
  const options = [`--denort=${base}`, "--target=aarch64-unknown-linux-gnu"];
  const build = ["run", "-A", "--quiet", "--no-check", "scripts/build/compile.ts"];
  const output = `--output=${compiledForArm64}`;
  await succeed(Deno.execPath(), [...build, ...options, output], { signal });
}

/** Deno reports a test that the filter leaves out as it reports an ignored one. */
const isInBrief = (skipped: string) => namesInBrief.some((name) => skipped.includes(name));

/** Why a kernel cannot be had; the test run goes on. */
function mistakeOf(error: unknown): string {
  if (error instanceof Mistake) return error.message;
  throw error;
}

/** What oomkit shows, reports and causes depends on what a kernel has. */
const blackBox = /\/(history|inspect|simulate|simulate_end|watch\w*)_test\.ts$/;
/** Twenty minutes. What lasts, and lasts longer there, is the same on each architecture. */
const onArm64 = /\/(guard|history|inspect|simulate|watch(?!_endurance)\w*)_test\.ts$/;
const blackBoxInBrief = /\/(history|inspect|simulate|watch|watch_command|watch_group)_test\.ts$/;

/** Of those files: limits, victims, peaks and counters. All of them would take ten minutes. */
export const namesInBrief = [
  "the numbers are those of the control files",
  "the forecast victim is the one that the kernel kills",
  "a 20 MiB limit ends in exactly one OOM kill",
  "three processes are killed one by one, or as a group",
  "an allocator that stops at half of the limit survives",
  "one kill is reported once, with the pid",
  "a kill is in the history of its cgroup",
  "a command killed at its limit exits with 137",
  "a group kill is reported once",
  "without a group, three processes killed at one limit",
];

/** One file per command shows whether the launcher does what the executable does. */
const launcherTests = /\/(inspect|watch|watch_command|guard|simulate|simulate_end)_test\.ts$/;

/** Tests that set the clock, switch off a CPU or fill the machine. */
const guestOnly =
  /\/(clock|hotplug|guard_machine|guard_machine_harmless|guard_victim_order|simulate_machine)_test\.ts$/;

/** Of those, in the machine of v2 only: a clock that is set, how the machine is filled, and what is no reason to kill for it. */
const onceInGuests = /\/(clock|guard_machine_harmless|simulate_machine)_test\.ts$/;

/**
 * Tests that measure time, or in which a guard must come before the kernel at a rate that the emulated machine is too slow for. The
 * others wait for what has to happen, however long it takes: nearly all of them run in the emulated machine too.
 */
const measuring =
  /\/(guard_hold|guard_page_cache|guard_rest|image_realtime|scale|simulate|simulate_live|start_up)_test\.ts$/;

/** Takes all memory, CPU and disk of the machine: run by hand, in the emulated machine. */
const onDemand = /\/starvation_test\.ts$/;

/**
 * Hundreds of cgroups and processes at once, for which the emulated machine takes longer than for all the rest; and what is the
 * same on each kernel: how a terminal is treated. And what a guest does not have: the commands of the documents, the benchmarks,
 * Prometheus, the journal.
 */
const hostOnly =
  /\/(alerts\w*|bench|journald|scale|simulate_live|live_terminal|docs_sequences)_test\.ts$/;

/**
 * What becomes of events, figures and configuration once they are read, of output that is not read and of a simulation by signals, which
 * no version and no kernel changes: run on the host, where that can run tests of any version. In other files `anyVersionTest` marks the
 * tests of which that is true.
 */
const sameOnEachVersion =
  /\/(guard_cluster|guard_config|guard_output|history_journal|history_namespace|kernel_log|live|picture|record|simulate_end|watch_annotate)_test\.ts$/;

/**
 * Tests that the host has run already. What differs on a second kernel of the same version is how it counts, reports and logs kills:
 * history and watch.
 */
const repeated =
  /\/(guard\w*|hostile|image\w*|inspect|layouts|live|own_limits|picture|record|sandbox|simulate|status|watch_(?!test)\w*)_test\.ts$/;

const isAmong = (which: HostTests) => (file: string): boolean =>
  measuring.test(file) === (which === "measuring");

const hostFiles = (which: HostTests) => kernelFiles().filter(isAmong(which));

const kernelFiles = () => testFiles(join(root, directory)).filter((file) => !onDemand.test(file));

const hostRuns = (version: Version) => hostObstacle(version) === undefined;
const hostRunsTests = () => hostRuns("v1") || hostRuns("v2");

/** All of them, except for what the host runs and need not be repeated. */
function guestFiles(version: Version): string[] {
  const isLeftOut = (file: string) =>
    hostOnly.test(file) ||
    (version === "v1" && onceInGuests.test(file)) ||
    (hostRuns(version) && repeated.test(file) && !guestOnly.test(file)) ||
    (hostRunsTests() && sameOnEachVersion.test(file));
  return kernelFiles().filter((file) => !isLeftOut(file));
}

function noTests(): string | undefined {
  return testFiles(join(root, directory)).length > 0 ? undefined : `${directory} holds no tests`;
}

export function noExecutable(): string | undefined {
  return isThere(compiled) ? undefined : "there is no executable; deno task compile";
}
