/** The stages that either pass or fail as a whole. */

import { root, withoutBacktrace } from "../build/bundle.ts";
import { missing, type Outcome } from "./outcome.ts";

interface Finished {
  readonly code: number;
  readonly said: string;
}

/** Runs this very Deno; passed if it ends with 0. */
export async function check(what: string, args: string[], signal: AbortSignal): Promise<Outcome> {
  const { code, said } = await run(args, signal);
  return code === 0 ? passed(what) : failed(what, said);
}

/** On the official runtime base, or DENORT_BIN; else on the one from npm. */
export async function compile(executable: string, signal: AbortSignal): Promise<Outcome> {
  const what = "compile";
  const args = ["run", "-A", "--quiet", "--no-check", "scripts/build/compile.ts"];
  const first = await run(args, signal);
  const finished = noBase(first) ? await run([...args, "--denort=npm"], signal) : first;
  if (noBase(finished)) return missing(what, lastLine(finished.said));
  if (finished.code !== 0) return failed(what, finished.said);
  const version = await output(executable, ["--version"]);
  return version.code === 0 ? passed(what, version.said) : failed(what, version.said);
}

/** Something that the machine lacks, unlike a program that cannot be compiled. */
function noBase({ code, said }: Finished): boolean {
  return code === 2 && /^compile: cannot (get|take|fetch) /.test(lastLine(said));
}

function passed(what: string, remark?: string): Outcome {
  return { what, passed: 1, failed: 0, skipped: [], ...(remark === undefined ? {} : { remark }) };
}

function failed(what: string, failures: string): Outcome {
  return { what, passed: 0, failed: 1, skipped: [], failures };
}

function run(args: string[], signal: AbortSignal): Promise<Finished> {
  return output(Deno.execPath(), args, signal);
}

async function output(program: string, args: string[], signal?: AbortSignal): Promise<Finished> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args,
    cwd: root,
    env: { NO_COLOR: "1", ...withoutBacktrace },
    stdin: "null",
    ...(signal === undefined ? {} : { signal }),
  }).output();
  const text = new TextDecoder();
  return { code, said: (text.decode(stdout) + text.decode(stderr)).trim() };
}

function lastLine(text: string): string {
  return text.split("\n").at(-1) ?? "";
}
