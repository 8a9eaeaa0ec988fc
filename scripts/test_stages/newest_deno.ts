/** The unit tests on the newest Deno too, which npm fetches: the pinned one of scripts/deno.sh runs all stages, and all unit tests. */

import { join } from "node:path";
import { outputOf, root } from "../command.ts";
import { testFiles } from "../guest_kernel/guest.ts";
import { Mistake, note } from "../terminal.ts";
import { type DenoTests, denoTests, missing, type Outcome } from "./deno_tests.ts";

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

/** The unit tests that depend on the version of Deno. @param directories relative to the project. */
export const newestDenoFiles = (directories: readonly string[]): string[] =>
  directories.flatMap((directory) => testFiles(join(root, directory)))
    .filter((file) => !sameOnEachDeno.test(file));

export async function newestDenoTests(
  { paths, limit, signal }: Omit<DenoTests, "what">,
): Promise<Outcome> {
  const what = `unit, Deno ${VERSION}`;
  try {
    const deno = await fetchDeno(signal);
    return await denoTests({ what, paths: newestDenoFiles(paths), limit, signal, deno });
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
