/** Runs `deno test` and returns the outcome. */

import { join } from "node:path";
import { root, withoutBacktrace } from "../build/bundle.ts";
import { countTests } from "./junit.ts";
import type { Outcome } from "./outcome.ts";

export interface DenoTests {
  readonly what: string;
  /** Folders or files, relative to the project. */
  readonly paths: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Seconds after which the tests are ended, and have failed. */
  readonly limit: number;
  readonly signal: AbortSignal;
}

export async function denoTests(tests: DenoTests): Promise<Outcome> {
  const folder = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    const report = join(folder, "junit.xml");
    const late = AbortSignal.timeout(tests.limit * 1000);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "test",
        "-A",
        "--quiet",
        "--frozen",
        "--no-check",
        `--junit-path=${report}`,
        ...tests.paths,
      ],
      cwd: root,
      env: { NO_COLOR: "1", ...withoutBacktrace, ...tests.environment },
      stdin: "null",
      signal: AbortSignal.any([late, tests.signal]),
    }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    const end = late.aborted ? `${said}\nended after ${tests.limit} s` : said;
    return outcomeOf(tests.what, code, readIfThere(report), end);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/**
 * @param report JUnit; empty when the run ended before it could be written.
 * @param said all that the run printed
 */
export function outcomeOf(what: string, code: number, report: string, said: string): Outcome {
  const { passed, failed, ignored } = countTests(report);
  const skipped = ignored.map((name) => `"${name}" is ignored`);
  if (code === 0 && passed + failed > 0) return { what, passed, failed, skipped };
  // A module that throws when it is loaded is in no report, only in the code; so is a run without a single test.
  return { what, passed, failed: Math.max(failed, 1), skipped, failures: failuresIn(said) };
}

/** From the first error on: what passed before is only counted. */
function failuresIn(said: string): string {
  const errors = said.indexOf("\n ERRORS \n");
  return brief((errors < 0 ? said : said.slice(errors)).trim());
}

const WIDEST = 400;
const FIRST = 6;
const LAST = 12;

/** Shortens the output of a failure, so that it does not hide the next one. */
function brief(text: string): string {
  const narrow = (line: string) =>
    line.length > WIDEST ? `${line.slice(0, WIDEST / 2)} … ${line.slice(-WIDEST / 2)}` : line;
  return text.split("\n\n").map((block) => {
    const lines = block.split("\n").map(narrow);
    const hidden = lines.length - FIRST - LAST;
    if (hidden < 2) return lines.join("\n");
    return [...lines.slice(0, FIRST), `… ${hidden} lines …`, ...lines.slice(-LAST)].join("\n");
  }).join("\n\n");
}

function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
