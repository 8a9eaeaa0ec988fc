/**
 * Runs commands and tests in the guest, an emulated machine, with what they take from this machine: kernel, the executable and,
 * for tests, Deno. Carries its three channels, and makes sure that it ends.
 */

import { basename, join, resolve } from "node:path";
import { tryReadText } from "../../core/cgroup/files.ts";
import { bundle } from "../build/bundle.ts";
import { compiled, compiledForArm64, root, succeed } from "../command.ts";
import { isThere } from "../files.ts";
import { Mistake } from "../terminal.ts";
import { writeArchive } from "./cpio.ts";
import { arm64Deno, arm64Userland } from "./arm64.ts";
import { kernelOfRelease } from "./debian_kernels.ts";
import {
  type Architecture,
  findKernel,
  findProgram,
  type Hierarchy,
  imageEntries,
  type Kernel,
} from "./image.ts";
import { emulatorOf, qemuArguments } from "./qemu.ts";
import { tscKhz } from "./tsc.ts";

export interface Run {
  /** This machine's by default. */
  readonly architecture?: Architecture;
  readonly cgroup: Hierarchy;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Host paths by guest path. */
  readonly files?: Readonly<Record<string, string>>;
  /** The same for programs, which need their shared libraries. */
  readonly programs?: Readonly<Record<string, string>>;
  /** With Deno in the guest, which makes it 124 MB larger. */
  readonly deno?: boolean;
  /** The executable that becomes /oomkit; by default dist/oomkit, or oomkit-aarch64 on arm64, where it exists. */
  readonly executable?: string;
  /** By default the newest installed one, and on arm64 Debian's 6.1. */
  readonly kernel?: Kernel;
  /** Parameters of the kernel besides those of every guest, which they replace. */
  readonly boot?: string;
  /** MiB; the programs in the first root take 230 of them. */
  readonly memory?: number;
  /** MiB of a disk at /disk; none by default. */
  readonly disk?: number;
  /** Seconds. */
  readonly limit?: number;
  /** Seconds without output after which the machine counts as stuck; none by default. */
  readonly maxSilence?: number;
  /** A directory for what the guest leaves in its /out. */
  readonly out?: string;
  /** Ends the machine at once. */
  readonly signal?: AbortSignal;
  readonly onOutput: (channel: "stdout" | "stderr", bytes: Uint8Array) => void;
  /** Called with what is being done, and how much of it is done. */
  readonly onStage?: (what: string, done?: number, total?: number) => void;
}

export interface Outcome {
  /** Of the command; undefined when the machine ended without telling. */
  readonly code?: number;
  /** Why there is no code, in one line. */
  readonly failure?: string;
  /** What the kernel printed. */
  readonly console: string;
}

/** The host's deadline comes after the guest's own, which can still say what happened. */
const deadlineSlack = 10;

/** The archive and the sockets of running machines. */
const workDirectory = join(root, "dist/guest");

/** Where the guest keeps what it was given. */
const executableInGuest = "/oomkit";
const testsInGuest = "/tests";
const programInGuest = "/program";

/** Without it no program but our own knows UTF-8. */
const locale = "/usr/lib/locale/C.utf8";

/** What keeps the guest from running here, in one line with the remedy; undefined if nothing does. */
export function obstacle(
  kernel = findKernel(),
  architecture: Architecture = "amd64",
): string | undefined {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    return `the guest needs Linux on x86_64, this is ${Deno.build.os} on ${Deno.build.arch}`;
  }
  const emulator = emulatorOf(architecture);
  // Debian package by program, as apt-get names it.
  const needed = { [emulator.program]: emulator.package, busybox: "busybox-static" };
  for (const [program, debianPackage] of Object.entries(needed)) {
    if (findProgram(program) === undefined) {
      return `${program} is not installed; apt-get install ${debianPackage}`;
    }
  }
  if (kernel === undefined) {
    return "no /boot/vmlinuz-*-cloud-amd64; apt-get install linux-image-cloud-amd64";
  }
  return undefined;
}

/** @throws Mistake where something is missing on this machine. */
export async function runInGuest(run: Run): Promise<Outcome> {
  const { architecture = "amd64" } = run;
  const kernel = run.kernel ??
    (architecture === "amd64" ? findKernel() : await kernelOfRelease("6.1", "arm64", run.signal));
  const missing = obstacle(kernel, architecture);
  if (missing !== undefined || kernel === undefined) {
    throw new Mistake(`cannot start the guest: ${missing}`);
  }
  const { memory = 3072, disk = 0, limit = 600, boot = "" } = run;
  const directory = makeWorkDirectory();
  try {
    run.onStage?.("packing what it begins with");
    const contents = {
      cgroup: run.cgroup,
      command: run.command,
      environment: { OOMKIT_BIN: executableInGuest, ...run.environment },
      files: { ...isThere(locale) ? { [locale]: locale } : {}, ...run.files },
      programs: architecture === "amd64" ? programs(run) : await arm64Programs(run),
      disk: disk > 0,
      limit,
      ...architecture === "arm64" && { userland: await arm64Userland() },
    };
    writeArchive(join(directory, "initramfs"), imageEntries(contents, kernel));
    if (disk > 0) await makeDisk(join(directory, "disk"), disk * 2 ** 20);
    return await runMachine(directory, { ...run, limit }, [
      emulatorOf(architecture).program,
      ...qemuArguments({
        architecture,
        directory,
        kernel: kernel.path,
        memory,
        hasDisk: disk > 0,
        boot,
        tscKhz: architecture === "amd64" ? await tscKhz() : undefined,
      }),
    ]);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

function makeWorkDirectory(): string {
  Deno.mkdirSync(workDirectory, { recursive: true });
  removeStale();
  return Deno.makeTempDirSync({ dir: workDirectory, prefix: `${Deno.pid}-` });
}

/** What a run that was killed could not remove: 100 MB and more. */
function removeStale(): void {
  for (const { name } of Deno.readDirSync(workDirectory)) {
    const pid = name.split("-")[0];
    if (!isThere(`/proc/${pid}`)) Deno.removeSync(join(workDirectory, name), { recursive: true });
  }
}

async function runMachine(
  directory: string,
  run: Run & { readonly limit: number },
  words: readonly string[],
): Promise<Outcome> {
  const channel = (name: string) => Deno.listen({ transport: "unix", path: join(directory, name) });
  const [stdout, stderr, result] = [channel("stdout"), channel("stderr"), channel("result")];
  const deadline = AbortSignal.timeout((run.limit + deadlineSlack) * 1000);
  const silence = new Silence(run.maxSilence);
  const signal = AbortSignal.any([deadline, silence.signal, ...run.signal ? [run.signal] : []]);
  const onOutput: Run["onOutput"] = (channel, bytes) => {
    silence.end();
    run.onOutput(channel, bytes);
  };
  run.onStage?.(`running, for at most ${run.limit} s`);
  const qemu = tied(words).spawn();
  const end = () => qemu.kill("SIGKILL");
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();

  try {
    const pieces: Uint8Array[] = [];
    const carried = Promise.all([
      carry(stdout, (bytes) => onOutput("stdout", bytes)),
      carry(stderr, (bytes) => onOutput("stderr", bytes)),
      carry(result, (bytes) => pieces.push(bytes)),
    ]);
    const said = new Response(qemu.stderr).text();
    const status = await qemu.status;
    // A machine that never came up does not connect: closing ends the wait.
    for (const listener of [stdout, stderr, result]) listener.close();
    await carried;
    const console = tryReadText(join(directory, "console")) ?? "";
    const answer = new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer());
    if (run.signal?.aborted) return { failure: "it was interrupted", console };
    if (silence.signal.aborted) {
      return { failure: `it printed nothing for ${run.maxSilence} s`, console };
    }
    if (deadline.aborted || new TextDecoder().decode(answer.subarray(0, 4)) === "late") {
      return { failure: `it was not done after ${run.limit} s`, console };
    }
    if (!status.success) {
      return { failure: `qemu: ${(await said).trimEnd().split("\n").at(-1)}`, console };
    }
    return { ...await resultOf(answer, run.out), console };
  } finally {
    signal.removeEventListener("abort", end);
    silence[Symbol.dispose]();
  }
}

/** Aborts its signal when {@link end} was not called for so many seconds. */
class Silence implements Disposable {
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly signal = this.#controller.signal;

  constructor(readonly seconds: number | undefined) {
    this.end();
  }

  end(): void {
    clearTimeout(this.#timer);
    if (this.seconds === undefined) return;
    this.#timer = setTimeout(() => this.#controller.abort(), 1000 * this.seconds);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** The kernel ends the program with this process, however this process ends. */
function tied(words: readonly string[]): Deno.Command {
  const io = { stdin: "null", stdout: "null", stderr: "piped" } as const;
  const setpriv = findProgram("setpriv");
  const [program, ...args] = setpriv === undefined
    ? words
    : [setpriv, "--pdeathsig", "KILL", ...words];
  return new Deno.Command(program!, { args, ...io });
}

async function carry(listener: Deno.UnixListener, onBytes: (bytes: Uint8Array) => void) {
  try {
    using connection = await listener.accept();
    for await (const bytes of connection.readable.values({ preventCancel: true })) onBytes(bytes);
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted)) {
      throw error;
    }
  }
}

/** The guest sends `exit N`, a newline, and a tar archive of its /out. */
async function resultOf(bytes: Uint8Array, out: string | undefined) {
  const lineEnd = Math.max(bytes.indexOf(10), 0);
  const code = /^exit (\d+)$/.exec(new TextDecoder().decode(bytes.subarray(0, lineEnd)))?.[1];
  if (code === undefined) return { failure: "it ended by itself" };
  if (out !== undefined) await unpack(bytes.subarray(lineEnd + 1), out);
  return { code: Number(code) };
}

async function unpack(archive: Uint8Array, directory: string): Promise<void> {
  Deno.mkdirSync(directory, { recursive: true });
  const args = ["-x", "-f", "-", "-C", directory, "--no-same-owner"];
  const tar = new Deno.Command("tar", { args, stdin: "piped" }).spawn();
  await new Blob([archive as BlobPart]).stream().pipeTo(tar.stdin);
  const { success } = await tar.status;
  if (!success) throw new Error(`cannot unpack what the guest left in /out into ${directory}`);
}

async function makeDisk(path: string, size: number): Promise<void> {
  Deno.writeFileSync(path, new Uint8Array());
  Deno.truncateSync(path, size);
  const mkfs = findProgram("mke2fs");
  if (mkfs === undefined) {
    throw new Error(
      "cannot make the guest's disk: mke2fs is not installed; apt-get install e2fsprogs",
    );
  }
  await succeed(mkfs, ["-q", "-t", "ext4", "-F", path]);
}

function programs({ deno, executable, programs }: Run): Record<string, string> {
  const found: Record<string, string> = { ...programs };
  // busybox has a setpriv too, which cannot change the user; its shell takes that unless /bin/setpriv is named.
  for (const name of ["runc", "setpriv", "tmux"]) {
    const path = findProgram(name);
    if (path !== undefined) found[`/bin/${name}`] = path;
  }
  if (deno) found["/bin/deno"] = Deno.execPath();
  return { ...found, ...ourProgram(executable, compiled) };
}

async function arm64Programs({ deno, executable, programs }: Run) {
  return {
    ...programs,
    ...deno && { "/bin/deno": await arm64Deno() },
    ...ourProgram(executable, compiledForArm64),
  };
}

function ourProgram(executable: string | undefined, byDefault: string): Record<string, string> {
  const path = executable ?? byDefault;
  if (isThere(path)) return { [executableInGuest]: path };
  if (executable !== undefined) throw new Mistake(`cannot start the guest: no ${executable}`);
  return {};
}

/**
 * Runs test files in the guest, bundled, since it has neither the sources nor the packages; as one module: what files share is
 * compiled once, such as the schemas, for which the emulator takes three seconds each time.
 * @param files paths on the host
 */
export async function runTestsInGuest(
  files: readonly string[],
  run: Omit<Run, "command" | "deno">,
  options: readonly string[] = [],
): Promise<Outcome> {
  if (files.length === 0) throw new Mistake("cannot test in the guest: no test files");
  const directory = makeWorkDirectory();
  try {
    run.onStage?.("bundling the tests");
    const entry = join(directory, "all_test.ts");
    const imports = files.map((file) => `import ${JSON.stringify(resolve(file))};\n`);
    Deno.writeTextFileSync(entry, imports.join(""));
    const tests = join(directory, "tests");
    await bundle(entry, tests);
    // Two directories below the root, as each test is in the sources.
    const bundled: Record<string, string> = { [join(testsInGuest, "kernel")]: tests };
    if (files.some((file) => countingSteps.test(file))) {
      run.onStage?.("bundling the program");
      Object.assign(bundled, await programForSteps(join(directory, "program")));
    }
    return await runInGuest({
      ...run,
      deno: true,
      files: { ...run.files, ...bundled },
      environment: {
        NO_COLOR: "1",
        DENO_NO_UPDATE_CHECK: "1",
        OOMKIT_PROGRAM: programInGuest,
        ...run.environment,
      },
      command: ["deno", "test", "-A", "--no-check", "--no-config", ...options, testsInGuest],
    });
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** The tests that need {@link programForSteps}; the others run the executable. */
const countingSteps = /\bguard_steps_test\.ts$/;

/** The program as Deno can run it, and what counts its steps: tests/steps/count.ts. */
async function programForSteps(directory: string): Promise<Record<string, string>> {
  const beside = ["core/guard/thread/worker.ts", "tests/steps/count.ts"];
  const files = beside.map(async (path) => {
    const file = await bundle(join(root, path), join(directory, basename(path)));
    return [join(programInGuest, basename(file)), file];
  });
  await bundle(join(root, "cli/main.ts"), join(directory, "main"));
  return {
    [programInGuest]: join(directory, "main"),
    ...Object.fromEntries(await Promise.all(files)),
  };
}

/** @returns the paths of all test files of a directory and of those below it, sorted; none where it does not exist. */
export function testFiles(directory: string): string[] {
  if (!isThere(directory)) return [];
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) => {
    const path = join(directory, name);
    if (isDirectory) return testFiles(path);
    return name.endsWith("_test.ts") ? [path] : [];
  }).sort();
}
