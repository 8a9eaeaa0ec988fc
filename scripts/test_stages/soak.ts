/** Random operations for some minutes, on this machine's own kernel: counts as one test. */

import { join } from "node:path";
import { root, withoutBacktrace } from "../build/bundle.ts";
import { executable, hostObstacle, noExecutable } from "./kernels.ts";
import { missing, type Outcome } from "./outcome.ts";

const MINUTES = 3;
/** A fixed seed, so that only a change turns it red; `deno task soak` draws others. */
const SEED = Deno.env.get("OOMKIT_SOAK_SEED") ?? "1";
/** Seconds for the whole stage: an idle check takes some ten. */
const LIMIT = 60 * MINUTES + 240;

/** The last line of a failure says how to repeat it. */
export async function soakStage(signal: AbortSignal): Promise<Outcome> {
  const what = "soak";
  const none = [hostObstacle("v1"), hostObstacle("v2")];
  const reason = none.includes(undefined) ? noExecutable() : none.join(", and ");
  if (reason !== undefined) return missing(what, reason);
  const late = AbortSignal.timeout(LIMIT * 1000);
  const script = join(root, "scripts/soak.ts");
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      "--frozen",
      "--no-check",
      script,
      `--minutes=${MINUTES}`,
      `--seed=${SEED}`,
    ],
    cwd: root,
    env: { NO_COLOR: "1", ...withoutBacktrace, OOMKIT_BIN: executable },
    stdin: "null",
    signal: AbortSignal.any([late, signal]),
  }).output();
  const text = new TextDecoder();
  const said = (text.decode(stderr) + text.decode(stdout)).trim();
  if (code === 0) {
    return {
      what,
      passed: 1,
      failed: 0,
      skipped: [],
      remark: said.split("\n").slice(0, 2).join("; "),
    };
  }
  const end = late.aborted ? `${said}\nended after ${LIMIT} s` : said;
  return { what, passed: 0, failed: 1, skipped: [], failures: end };
}
