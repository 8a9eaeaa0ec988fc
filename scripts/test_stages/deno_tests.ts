/** Runs `deno test`, counts what its report says, and sums up the outcomes of several stages. */

import { join } from "node:path";
import { tryReadText } from "../../core/cgroup/files.ts";
import { outputOf, type Ran, root } from "../command.ts";

/** The outcome of a stage. */
export interface Outcome {
  readonly what: string;
  readonly passed: number;
  readonly failed: number;
  /** Tests that did not run, each with the reason. */
  readonly skipped: readonly string[];
  /** A remark beside the counts. */
  readonly remark?: string;
  /** Output about the failures. */
  readonly failures?: string;
}

/** @param strict as in CI: a stage that did not run has failed. */
export function total(outcomes: readonly Outcome[], strict: boolean) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const { passed, failed, skipped } of outcomes) {
    sum.passed += passed;
    sum.failed += failed;
    sum[strict ? "failed" : "skipped"] += skipped.length;
  }
  return sum;
}

export function lastLine({ passed, failed, skipped }: ReturnType<typeof total>): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** A stage that could not run at all. */
export function missing(what: string, reason: string): Outcome {
  return { what, passed: 0, failed: 0, skipped: [reason] };
}

export interface DenoTests {
  readonly what: string;
  /** Directories or files, relative to the project. */
  readonly paths: readonly string[];
  /**
   * More files, absolute, as one module for each name: each file would start an isolate, and load and compile what it shares with others
   * (0.1 s of CPU). Their tests leave no global state behind.
   */
  readonly modules?: Readonly<Record<string, readonly string[]>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** Another Deno than this one. */
  readonly deno?: string;
  /** Seconds after which the tests are ended, and have failed. */
  readonly limit: number;
  readonly signal: AbortSignal;
}

export async function denoTests(tests: DenoTests): Promise<Outcome> {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    const report = join(directory, "junit.xml");
    const flags = ["-A", "--quiet", "--frozen", "--no-check", `--junit-path=${report}`];
    const modules = Object.entries(tests.modules ?? {}).map(([name, files]) =>
      writeModule(join(directory, `${name}_test.ts`), files)
    );
    const config = ["-c", join(root, "deno.json")];
    const { code, stdout, stderr } = await limited(
      ["test", ...config, ...flags, ...tests.paths, ...modules],
      tests,
    );
    return outcomeOf(tests.what, code, tryReadText(report) ?? "", stdout + stderr);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** A module of several, each an absolute path. @returns its path. */
export function writeModule(path: string, files: readonly string[]): string {
  Deno.writeTextFileSync(path, files.map((file) => `import ${JSON.stringify(file)};\n`).join(""));
  return path;
}

/** Runs Deno, by default this very one, and ends it at the limit, which the last line of both outputs then says. */
export async function limited(
  args: readonly string[],
  { limit, signal, environment, deno = Deno.execPath() }: Omit<DenoTests, "what" | "paths">,
): Promise<Ran> {
  const late = AbortSignal.timeout(limit * 1000);
  const ran = await outputOf(deno, args, {
    env: { NO_COLOR: "1", ...environment },
    signal: AbortSignal.any([late, signal]),
  });
  if (!late.aborted) return ran;
  const end = `\nended after ${limit} s`;
  return { ...ran, stdout: ran.stdout + end, stderr: ran.stderr + end };
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

/**
 * Counts the tests of a `deno test --junit-path` report; the terminal's own form is mixed with what the tests print. Steps are
 * part of their test, so that a failing one counts once; an ignored one counts, as it would go unseen.
 * @param xml as Deno 2 writes it: steps are cases of their own after their test, named `test > step`.
 */
export function countTests(xml: string) {
  const suites = [...xml.matchAll(/<testsuite .*?<\/testsuite>/gs)].map(([suite]) =>
    casesIn(suite)
  );
  const tests = suites.flatMap((suite) =>
    suite.filter(({ name }) => !suite.some((other) => name.startsWith(`${other.name} > `)))
  );
  return {
    passed: tests.filter(({ state }) => state === "passed").length,
    failed: tests.filter(({ state }) => state === "failed").length,
    ignored: suites.flat().filter(({ state }) => state === "ignored").map(({ name }) => name),
  };
}

/** Within a case text is escaped: what looks like an element is one. */
function casesIn(suite: string) {
  return [...suite.matchAll(/<testcase name="([^"]*)"[^>]*>(.*?)<\/testcase>/gs)].map(
    ([, name = "", body = ""]) => ({
      name: unescape(name),
      state: /<(failure|error)\b/.test(body)
        ? "failed"
        : /<skipped\b/.test(body)
        ? "ignored"
        : "passed",
    }),
  );
}

function unescape(text: string): string {
  const characters: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replaceAll(/&(\w+);/g, (whole, name) => characters[name] ?? whole)
    .replaceAll(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)));
}
