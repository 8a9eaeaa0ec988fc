/** Counts the tests of a `deno test --junit-path` report; the terminal's own form is mixed with what the tests print. */

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly ignored: readonly string[];
}

interface Case {
  readonly name: string;
  readonly state: "passed" | "failed" | "ignored";
}

/**
 * Steps are part of their test, so that a failing one counts once; an ignored one counts, as it would go unseen.
 * @param xml as Deno 2 writes it: steps are cases of their own after their test, named `test > step`.
 */
export function countTests(xml: string): Counts {
  const suites = [...xml.matchAll(/<testsuite .*?<\/testsuite>/gs)].map(([suite]) => cases(suite));
  const tests = suites.flatMap((suite) => suite.filter((one) => !isStep(one, suite)));
  const ignored = suites.flat().filter((one) => one.state === "ignored");
  return {
    passed: tests.filter((test) => test.state === "passed").length,
    failed: tests.filter((test) => test.state === "failed").length,
    ignored: ignored.map((one) => one.name),
  };
}

function cases(suite: string): Case[] {
  return [...suite.matchAll(/<testcase name="([^"]*)"[^>]*>(.*?)<\/testcase>/gs)].map(
    ([, name = "", body = ""]) => ({ name: unescape(name), state: stateOf(body) }),
  );
}

/** Within a case text is escaped: what looks like an element is one. */
function stateOf(body: string): Case["state"] {
  if (/<(failure|error)\b/.test(body)) return "failed";
  return /<skipped\b/.test(body) ? "ignored" : "passed";
}

function isStep({ name }: Case, suite: readonly Case[]): boolean {
  return suite.some((other) => name.startsWith(`${other.name} > `));
}

function unescape(text: string): string {
  const characters: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replaceAll(/&(\w+);/g, (whole, name) => characters[name] ?? whole)
    .replaceAll(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)));
}
