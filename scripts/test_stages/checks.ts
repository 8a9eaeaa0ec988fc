/** The stages that either pass or fail as a whole: checks, the compilation, and the soak. */

import { compiled, outputOf } from "../command.ts";
import { limited, missing, type Outcome } from "./deno_tests.ts";
import { hostObstacle, noExecutable } from "./kernels.ts";

/** Runs this very Deno; passed if it ends with 0. */
export async function check(what: string, args: string[], signal: AbortSignal): Promise<Outcome> {
  const { code, said } = await run(args, signal);
  return code === 0 ? passed(what) : failed(what, said);
}

/** On the official runtime base, or DENORT_BIN; else on the one from npm. The stage "check" checks the types meanwhile. */
export async function compile(signal: AbortSignal): Promise<Outcome> {
  const what = "compile";
  const script = "scripts/build/compile.ts";
  const args = ["run", "-A", "--quiet", "--no-check", script, "--no-check"];
  const first = await run(args, signal);
  const finished = noBase(first) ? await run([...args, "--denort=npm"], signal) : first;
  if (noBase(finished)) return missing(what, lastLine(finished.said));
  if (finished.code !== 0) return failed(what, finished.said);
  const version = await output(compiled, ["--version"]);
  return version.code === 0 ? passed(what, version.said) : failed(what, version.said);
}

/** Something that the machine lacks, unlike a program that cannot be compiled. */
function noBase({ code, said }: { code: number; said: string }): boolean {
  return code === 2 && /^compile: cannot (get|take|fetch) /.test(lastLine(said));
}

function passed(what: string, remark?: string): Outcome {
  return { what, passed: 1, failed: 0, skipped: [], ...(remark === undefined ? {} : { remark }) };
}

function failed(what: string, failures: string): Outcome {
  return { what, passed: 0, failed: 1, skipped: [], failures };
}

const run = (args: string[], signal: AbortSignal) => output(Deno.execPath(), args, signal);

async function output(program: string, args: string[], signal?: AbortSignal) {
  const { code, stdout, stderr } = await outputOf(program, args, {
    env: { NO_COLOR: "1" },
    ...signal && { signal },
  });
  return { code, said: (stdout + stderr).trim() };
}

const lastLine = (text: string): string => text.split("\n").at(-1) ?? "";

const MINUTES = 3;
/** A fixed seed, so that only a change turns it red; `deno task soak` draws others. */
const SEED = Deno.env.get("OOMKIT_SOAK_SEED") ?? "1";
/** Seconds for the whole stage: an idle check takes some ten. */
const LIMIT = 60 * MINUTES + 240;

/** Random operations for some minutes, on this machine's own kernel: one test. The last line of a failure says how to repeat it. */
export async function soakStage(signal: AbortSignal): Promise<Outcome> {
  const what = "soak";
  const none = [hostObstacle("v1"), hostObstacle("v2")];
  const reason = none.includes(undefined) ? noExecutable() : none.join(", and ");
  if (reason !== undefined) return missing(what, reason);
  const words = ["scripts/soak.ts", `--minutes=${MINUTES}`, `--seed=${SEED}`];
  const { code, stdout, stderr } = await limited(
    ["run", "-A", "--quiet", "--frozen", "--no-check", ...words],
    { limit: LIMIT, signal, environment: { OOMKIT_BIN: compiled } },
  );
  const said = (stderr + stdout).trim();
  return code === 0 ? passed(what, said.split("\n").slice(0, 2).join("; ")) : failed(what, said);
}
