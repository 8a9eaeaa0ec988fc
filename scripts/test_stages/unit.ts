/** The unit tests, on the pinned Deno of scripts/deno.sh, which runs all stages, and on the newest one, which npm fetches. */

import { join } from "node:path";
import { outputOf, root } from "../command.ts";
import { testFiles } from "../guest_kernel/guest.ts";
import { Mistake, note } from "../terminal.ts";
import { type DenoTests, denoTests, missing, type Outcome } from "./deno_tests.ts";

const directories = ["cli", "core", "deploy", "faults", "fuzz", "scripts", "security"];

/** By the name of a module, the files that it consists of. Those of tests/core/guard replace system calls. */
const modules = { cli: /\/tests\/cli\//, core: /\/tests\/core\/(?!guard\/)/ };

/** Seconds. */
const limit = 1800;

/** What is run, without the files that `isLeftOut`. */
export function unitTests(
  isLeftOut: (file: string) => boolean = () => false,
): Required<Pick<DenoTests, "paths" | "modules">> {
  const files = directories.flatMap((directory) => testFiles(join(root, "tests", directory)))
    .filter((file) => !isLeftOut(file));
  const filesOf = (module: RegExp) => files.filter((file) => module.test(file));
  return {
    paths: files.filter((file) => !Object.values(modules).some((module) => module.test(file))),
    modules: { cli: filesOf(modules.cli), core: filesOf(modules.core) },
  };
}

export const pinnedDenoTests = (signal: AbortSignal): Promise<Outcome> =>
  denoTests({ what: "unit", ...unitTests(), limit, signal });

/** The newest version that the tests are known to pass on. */
const VERSION = "2.9.6";

/** Without `npx` as a parent, which would not pass on a signal to the tests. */
const PRINT_PATH = 'console.log("deno=" + Deno.execPath())';

/**
 * Tests of what another program makes of a file or a page (kubectl, Helm, promtool, systemd, shells, npm, Chromium), and of the launcher,
 * which takes the pinned Deno out of PATH whichever one runs the test.
 */
const sameOnEachDeno =
  /\/tests\/(deploy\/|core\/picture\/browser\w*_test\.ts$|scripts\/(launcher|test_run)_test\.ts$)/;

/** Whether the version of Deno does not matter for the tests of a file. */
export const isSameOnEachDeno = (file: string): boolean => sameOnEachDeno.test(file);

export async function newestDenoTests(signal: AbortSignal): Promise<Outcome> {
  const what = `unit, Deno ${VERSION}`;
  try {
    const deno = await fetchDeno(signal);
    return await denoTests({ what, ...unitTests(isSameOnEachDeno), limit, signal, deno });
  } catch (error) {
    if (error instanceof Mistake) return missing(what, error.message);
    throw error;
  }
}

/** @throws Mistake where it cannot be had. */
async function fetchDeno(signal: AbortSignal): Promise<string> {
  note(`fetching Deno ${VERSION} through npx`);
  const args = ["-y", `deno@${VERSION}`, "eval", PRINT_PATH];
  const { code, stdout, stderr } = await outputOf("npx", args, { signal });
  const path = /^deno=(.+)$/m.exec(stdout)?.[1];
  if (code === 0 && path !== undefined) return path;
  // The codes that npm puts in front say less, and the last line says where its log is.
  const lines = (stderr + stdout).trim().split("\n");
  const why = lines.find((line) => /^npm error (?!code |errno |syscall )/.test(line)) ?? lines[0];
  throw new Mistake(`cannot fetch Deno ${VERSION} through npx: ${why}`);
}
