/** The tests of the executable that need no kernel of their own. */

import { denoTests } from "./deno_tests.ts";
import { executable, noExecutable } from "./kernels.ts";
import { missing, type Outcome } from "./outcome.ts";

/** Seconds. */
const limit = 60;

export async function executableTests(signal: AbortSignal): Promise<Outcome> {
  const what = "executable";
  const reason = noExecutable();
  if (reason !== undefined) return missing(what, reason);
  const environment = { OOMKIT_BIN: executable };
  return await denoTests({ what, paths: ["tests/executable"], environment, limit, signal });
}
