/**
 * `inspect --check --junit` and `watch --junit -- command`: the findings as JUnit XML, which CI services show as tests. There is no standard; this is what Jenkins'
 * schema allows and GitLab reads. GitLab identifies a case by class and name, which therefore must be unique.
 */

import type { Finding } from "../../core/events/inspect_document.ts";
import { printable } from "./output.ts";

interface JunitFacts {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly seconds: number;
  readonly hostname: string;
  /** Name of the suite. */
  readonly suite: string;
}

/** A finding in a report: `class` names what was examined. */
export interface JunitCase extends Pick<Finding, "check" | "verdict" | "message"> {
  readonly class: string;
}

export function junitXml(findings: readonly JunitCase[], facts: JunitFacts): string {
  const count = (verdict: Finding["verdict"]) =>
    findings.filter((finding) => finding.verdict === verdict).length;
  const [failures, errors] = [count("not_ok"), count("unknown")];
  const totals = `tests="${findings.length}" failures="${failures}" errors="${errors}"`;
  const time = `time="${facts.seconds.toFixed(3)}"`;
  const host = xmlText(facts.hostname);
  const timestamp = new Date(facts.startedAt).toISOString().slice(0, 19);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="${facts.suite}" ${totals} ${time}>`,
    `  <testsuite name="${facts.suite}" ${totals} skipped="0" ${time} ` +
    `timestamp="${timestamp}" hostname="${host}">`,
    ...casesOf(findings),
    "  </testsuite>",
    "</testsuites>",
    "",
  ].join("\n");
}

function casesOf(findings: readonly JunitCase[]): string[] {
  const seen = new Map<string, number>();
  return findings.flatMap(({ class: place, check, verdict, message }) => {
    const key = `${place}\0${check}`;
    const times = (seen.get(key) ?? 0) + 1;
    seen.set(key, times);
    const name = xmlText(times === 1 ? check : `${check} (${times})`);
    const head = `    <testcase classname="${xmlText(place)}" name="${name}" time="0"`;
    if (verdict === "ok") return [`${head}/>`];
    const element = verdict === "not_ok" ? "failure" : "error";
    const text = xmlText(message);
    return [
      `${head}>`,
      // GitLab shows the content, Jenkins the attribute.
      `      <${element} message="${text}" type="${xmlText(check)}">${text}</${element}>`,
      "    </testcase>",
    ];
  });
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
};

/**
 * For attributes and content. Characters that XML 1.0 does not allow even when escaped (control characters, lone surrogates,
 * U+FFFE and U+FFFF) become visible escapes as in the terminal: `\x1b`, `\uffff`.
 */
export function xmlText(text: string): string {
  return printable(text)
    .replace(/[\ufffe\uffff]|\p{Surrogate}/gu, (c) => `\\u${c.charCodeAt(0).toString(16)}`)
    .replace(/[&<>"']/g, (c) => ENTITIES[c]!);
}
