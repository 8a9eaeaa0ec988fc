/** The unit tests on the newest Deno too, which npm fetches: the pinned one of scripts/deno.sh runs all stages. */

import { outputOf } from "../command.ts";
import { Mistake, note } from "../terminal.ts";
import { type DenoTests, denoTests, missing, type Outcome } from "./deno_tests.ts";

/** The newest version that the tests are known to pass on. */
const VERSION = "2.9.6";

/** Without `npx` as a parent, which would not pass on a signal to the tests. */
const PRINT_PATH = 'console.log("deno=" + Deno.execPath())';

export async function newestDenoTests(
  { paths, limit, signal }: Omit<DenoTests, "what">,
): Promise<Outcome> {
  const what = `unit, Deno ${VERSION}`;
  try {
    return await denoTests({ what, paths, limit, signal, deno: await fetchDeno(signal) });
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
