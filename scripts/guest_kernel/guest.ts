/** What a run in the guest takes from this machine: kernel, emulator, the executable and, for tests, Deno. */

import { basename, join } from "node:path";
import { omitUndefined } from "../../core/omit_undefined.ts";
import { bundle } from "../build/bundle.ts";
import { compiled, root } from "../command.ts";
import { isThere } from "../files.ts";
import { Mistake } from "../terminal.ts";
import { findKernel, findProgram, type Hierarchy, kernelAt } from "./image.ts";
import { type Outcome, runMachine } from "./machine.ts";

export interface Run {
  readonly cgroup: Hierarchy;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Host paths by guest path. */
  readonly files?: Readonly<Record<string, string>>;
  /** With Deno in the guest, which makes it 124 MB larger. */
  readonly deno?: boolean;
  /** The executable that becomes /oomkit; dist/oomkit, where it exists, unless told otherwise. */
  readonly executable?: string;
  readonly kernel?: string;
  /** MiB. */
  readonly memory?: number;
  /** MiB. */
  readonly disk?: number;
  /** Seconds. */
  readonly limit?: number;
  readonly out?: string;
  readonly signal?: AbortSignal;
  readonly onOutput: (channel: "stdout" | "stderr", bytes: Uint8Array) => void;
  /** Is told what goes on, and how far it has come. */
  readonly onStage?: (what: string, done?: number, total?: number) => void;
}

/** Where the guest keeps what it was given. */
const executableInGuest = "/oomkit";
const testsInGuest = "/tests";
const programInGuest = "/program";

/** Without it no program but our own knows UTF-8. */
const locale = "/usr/lib/locale/C.utf8";

/** Debian package by program, as apt-get wants to hear it. */
const needed = { "qemu-system-x86_64": "qemu-system-x86", busybox: "busybox-static" };

/** What keeps the guest from running here, in one line with the remedy; undefined if nothing does. */
export function obstacle(): string | undefined {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    return `the guest needs Linux on x86_64, this is ${Deno.build.os} on ${Deno.build.arch}`;
  }
  for (const [program, debianPackage] of Object.entries(needed)) {
    if (findProgram(program) === undefined) {
      return `${program} is not installed; apt-get install ${debianPackage}`;
    }
  }
  if (findKernel() === undefined) {
    return "no /boot/vmlinuz-*-cloud-amd64; apt-get install linux-image-cloud-amd64";
  }
  return undefined;
}

/** @throws Mistake where something is missing on this machine. */
export async function runInGuest(run: Run): Promise<Outcome> {
  const missing = obstacle();
  const kernel = run.kernel === undefined ? findKernel() : kernelAt(run.kernel);
  if (missing !== undefined || kernel === undefined) {
    throw new Mistake(`cannot start the guest: ${missing}`);
  }
  return await runMachine({
    kernel,
    memory: run.memory ?? 3072,
    disk: (run.disk ?? 0) * 2 ** 20,
    workFolder: join(root, "dist/guest"),
    onOutput: run.onOutput,
    ...omitUndefined({ onStage: run.onStage, out: run.out, signal: run.signal }),
  }, {
    cgroup: run.cgroup,
    command: run.command,
    environment: { OOMKIT_BIN: executableInGuest, ...run.environment },
    files: { ...isThere(locale) ? { [locale]: locale } : {}, ...run.files },
    programs: programs(run),
    disk: (run.disk ?? 0) > 0,
    limit: run.limit ?? 600,
  });
}

function programs({ deno, executable }: Run): Record<string, string> {
  const found: Record<string, string> = {};
  // busybox has a setpriv too, which cannot change the user; its shell takes that unless told /bin/setpriv.
  for (const name of ["runc", "setpriv", "tmux"]) {
    const path = findProgram(name);
    if (path !== undefined) found[`/bin/${name}`] = path;
  }
  if (deno) found["/bin/deno"] = Deno.execPath();
  const path = executable ?? compiled;
  if (isThere(path)) found[executableInGuest] = path;
  else if (executable !== undefined) throw new Mistake(`cannot start the guest: no ${executable}`);
  return found;
}

/**
 * Runs test files in the guest, bundled, since it has neither the sources nor the packages.
 * @param files paths on the host
 */
export async function runTestsInGuest(
  files: readonly string[],
  run: Omit<Run, "command" | "deno">,
  options: readonly string[] = [],
): Promise<Outcome> {
  if (files.length === 0) throw new Mistake("cannot test in the guest: no test files");
  const folder = Deno.makeTempDirSync();
  try {
    const bundled: Record<string, string> = {};
    for (const [at, file] of files.entries()) {
      run.onStage?.("bundling the tests", at, files.length);
      const name = basename(file).replace(/\.ts$/, ".js");
      await bundle(file, join(folder, name));
      bundled[join(testsInGuest, name)] = join(folder, name);
    }
    run.onStage?.("bundling the program");
    Object.assign(bundled, await programForSteps(join(folder, "program")));
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
    Deno.removeSync(folder, { recursive: true });
  }
}

/** The program as Deno can run it, and what counts its steps: tests/steps/count.ts. */
async function programForSteps(folder: string): Promise<Record<string, string>> {
  const beside = ["core/guard/thread/worker.ts", "tests/steps/count.ts"];
  const files = beside.map(async (path) => {
    const file = await bundle(join(root, path), join(folder, basename(path)));
    return [join(programInGuest, basename(file)), file];
  });
  await bundle(join(root, "cli/main.ts"), join(folder, "main"));
  return {
    [programInGuest]: join(folder, "main"),
    ...Object.fromEntries(await Promise.all(files)),
  };
}

/** @returns the paths of all test files of a folder and of those below it, sorted; none where it does not exist. */
export function testFiles(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
      const path = join(folder, name);
      if (isDirectory) return testFiles(path);
      return name.endsWith("_test.ts") ? [path] : [];
    }).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
