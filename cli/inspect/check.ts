/** `inspect --check`: whether a cgroup or this node is fit. One line for each finding, failures first. */

import type { Inspection } from "../../core/cgroup/inspection.ts";
import type { Machine } from "../../core/cgroup/machine.ts";
import { machineMemory } from "../../core/policy/limits.ts";
import { checkRequirements, type Requirement } from "../../core/cgroup/requirements.ts";
import {
  type Amount,
  type Capacity,
  checkHeadroom,
  checkUsage,
  overall,
  shareOf,
  type Verdict,
} from "../../core/policy/check.ts";
import { OomkitError } from "../../core/errors.ts";
import type { Checked, Finding } from "../../core/events/inspect_document.ts";
import type { CiService } from "../options/subcommand.ts";
import { type Annotation, annotationLines } from "../output/annotate.ts";
import { junitXml } from "../output/junit.ts";
import { printable, printStderrRaw } from "../output/output.ts";
import { openResultFile } from "../output/files.ts";
import { appendStepSummary } from "../output/step_summary.ts";
import type { Style } from "../terminal/palette.ts";
import { cut } from "../terminal/layout.ts";
import { formatBytes, formatPercent } from "../options/units.ts";

interface Requested {
  readonly minHeadroom?: Amount | undefined;
  readonly maxUsage?: Amount | undefined;
  /** What counts as used in `minHeadroom`. */
  readonly metric: "usage" | "working-set";
  readonly require: readonly Requirement[];
  /** Whether the summary is for a CI job: whole, however long. */
  readonly isInCi: boolean;
}

/** node-problem-detector shows no more of a plugin's output. In a CI job nothing cuts the line. */
const MAX_SUMMARY_CHARACTERS = 80;
/** Findings that the summary names. */
const MAX_NAMED_FINDINGS = 5;

const WORDS = { ok: "ok", not_ok: "not ok", unknown: "unknown" } as const;
const COLORS = { ok: "green", not_ok: "red", unknown: "yellow" } as const;
const ORDER = ["not_ok", "unknown", "ok"] as const;

/** @param missing error messages of targets that could not be found or read. */
export function check(
  requested: Requested,
  found: readonly Inspection[],
  machine: Machine,
  missing: readonly string[],
): Checked {
  const findings = [
    ...missing.map((message): Finding => ({ check: "target", verdict: "unknown", message })),
    ...found.flatMap((each) => findingsOf(requested, each, machine)),
  ];
  findings.sort((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict));
  const verdict = overall(findings.map((finding) => finding.verdict));
  const summary = summaryOf(verdict, findings);
  return {
    verdict,
    summary: requested.isInCi ? summary : cut(summary, MAX_SUMMARY_CHARACTERS),
    findings,
  };
}

function findingsOf(
  { minHeadroom, maxUsage, metric, require }: Requested,
  found: Inspection,
  machine: Machine,
): Finding[] {
  const cgroup = found.cgroup.path;
  const findings: Finding[] = [];
  if (minHeadroom) {
    const capacity = capacityOf(found, machine, metric);
    const has = `${formatBytes(capacity.left)}${share(capacity.left, capacity, 0)}`;
    const verdict = unlessUnread(checkHeadroom(capacity, minHeadroom), found);
    const message = comparison(has, "at least", minHeadroom, capacity) + unreadText(found);
    findings.push({ cgroup, check: "min-headroom", verdict, message });
  }
  if (maxUsage) {
    const capacity = capacityOf(found, machine, "usage");
    // An amount in bytes is compared with the cgroup's own usage, a percentage with that of the owner of the limit.
    const used = "bytes" in maxUsage ? capacity.own : capacity.used;
    const has = `${formatBytes(used)}${share(used, capacity, 100)}`;
    const compared = checkUsage({ ...capacity, used }, maxUsage);
    const isOfLimit = "percent" in maxUsage;
    const verdict = isOfLimit ? unlessUnread(compared, found) : compared;
    const message = comparison(has, "at most", maxUsage, capacity) +
      (isOfLimit ? unreadText(found) : "");
    findings.push({ cgroup, check: "max-usage", verdict, message });
  }
  for (const requirement of require) {
    findings.push({ cgroup, check: requirement, ...checkRequirements(requirement, found.cgroup) });
  }
  return findings;
}

/** A limit that cannot be read may be tighter than those that can. */
const unlessUnread = (verdict: Verdict, { ancestry: { unreadable } }: Inspection): Verdict =>
  verdict === "ok" && unreadable.length > 0 ? "unknown" : verdict;

const unreadText = ({ ancestry: { unreadable: [path], headroom } }: Inspection): string =>
  path === undefined || headroom === undefined ? "" : `; the limit of ${path} cannot be read`;

interface OwnedCapacity extends Capacity {
  /** Usage of the cgroup itself, bytes. */
  readonly own?: number | undefined;
  /** The limit, in words. */
  readonly source: string;
}

/** Of the limit that is hit first, or of the machine. */
function capacityOf(
  { snapshot, ancestry, cgroup }: Inspection,
  machine: Machine,
  metric: Requested["metric"],
): OwnedCapacity {
  const { chain, limit } = ancestry;
  const headroom = metric === "usage" ? ancestry.headroom : ancestry.workingSetHeadroom;
  const own = snapshot.usage;
  if (headroom === undefined) {
    const [unread] = ancestry.unreadable;
    if (unread !== undefined) return { own, source: `the limit of ${unread} cannot be read` };
    return limit.bytes === Infinity
      ? { own, limit: Infinity, source: "no limit, and the machine's memory is unknown" }
      : { own, limit: limit.bytes, source: "the usage is unknown; the limit" };
  }
  const { bytes: left, limit: size, owner } = headroom;
  if (headroom.scope === "system") {
    const { total } = machineMemory(machine.memory) ?? {};
    const used = total === undefined ? undefined : total - left;
    // The root of v2 has no usage of its own.
    return { used, own: own ?? used, left, limit: size, source: machineText(machine) };
  }
  const used = chain.find(({ path }) => path === owner)?.usage ?? own;
  const source = owner === cgroup.path
    ? "its own limit"
    : `the limit of ${owner ?? "an ancestor that is not visible"}`;
  return { used, own, left, limit: size, source };
}

const machineText = ({ memory: { swapTotal } }: Machine): string =>
  swapTotal ? "the machine's memory and swap" : "the machine's memory";

function share(bytes: number | undefined, { limit }: Capacity, ofNothing: number): string {
  const percent = shareOf(bytes, limit, ofNothing);
  return percent === undefined ? "" : ` (${formatPercent(percent)})`;
}

function comparison(
  has: string,
  bound: string,
  amount: Amount,
  { limit, source }: OwnedCapacity,
): string {
  const requested = "bytes" in amount ? formatBytes(amount.bytes) : formatPercent(amount.percent);
  const size = limit === Infinity || limit === undefined ? "" : ` of ${formatBytes(limit)}`;
  return `${has}, required: ${bound} ${requested}; ${source}${size}`;
}

function summaryOf(verdict: Checked["verdict"], findings: readonly Finding[]): string {
  const [worst] = findings;
  if (verdict === "ok" || worst === undefined) {
    return `OK: ${findings.length} ${findings.length === 1 ? "check" : "checks"} passed`;
  }
  const head = verdict === "not_ok" ? "NOT OK" : "UNKNOWN";
  if (findings.length === 1) return `${head}: ${worst.check}: ${printable(worst.message)}`;
  const having = (each: Checked["verdict"]) => findings.filter(({ verdict }) => verdict === each);
  const [failed, unknown] = [having("not_ok"), having("unknown")];
  const counts = failed.length === 0
    ? `${unknown.length} of ${findings.length} checks unknown`
    : `${failed.length} of ${findings.length} checks failed` +
      (unknown.length === 0 ? "" : `, ${unknown.length} unknown`);
  const worstOnes = failed.length === 0 ? unknown : failed;
  const isOne = new Set(findings.map(({ cgroup }) => cgroup)).size === 1;
  const nameOf = ({ check, cgroup }: Finding) =>
    isOne || cgroup === undefined ? check : `${check} of ${printable(cgroup)}`;
  const details = worstOnes.length === 1
    ? `${nameOf(worst)}: ${printable(worst.message)}`
    : namesOf(worstOnes, nameOf);
  return `${head}: ${counts}: ${details}`;
}

/** `min-headroom of /a, psi of /b, and 3 more`; without the cgroup where all are of one. */
function namesOf(shown: readonly Finding[], nameOf: (finding: Finding) => string): string {
  const names = shown.slice(0, MAX_NAMED_FINDINGS).map(nameOf);
  const more = shown.length - names.length;
  return [...names, ...more === 0 ? [] : [`and ${more} more`]].join(", ");
}

export function checkLines({ verdict, summary, findings }: Checked, style: Style): string[] {
  const width = Math.max(...findings.map((finding) => finding.check.length));
  return [
    style(["bold", COLORS[verdict]], summary),
    ...findings.map((finding) => {
      const word = style(COLORS[finding.verdict], WORDS[finding.verdict].padEnd(7));
      const where = finding.cgroup === undefined ? "" : `${printable(finding.cgroup)}: `;
      return `${word}  ${finding.check.padEnd(width)}  ${where}${printable(finding.message)}`;
    }),
  ];
}

/** For CI: `--annotate` and `--junit`. */
export interface CheckOutput extends Disposable {
  write(checked: Checked): void;
  /** Writes an `OomkitError` that prevented the check as its only finding; ignores other errors. */
  fail(error: unknown): void;
}

/** Throws `OomkitError` if the JUnit file cannot be created. */
export function openCheckOutput(
  { annotate, junit }: {
    readonly annotate?: CiService | undefined;
    readonly junit?: string | undefined;
  },
): CheckOutput {
  const startedAt = Date.now();
  const start = performance.now();
  const file = junit === undefined ? undefined : openResultFile(junit, "JUnit XML");
  let isWritten = false;
  const write = (checked: Checked) => {
    isWritten = true;
    if (annotate !== undefined) {
      annotationLines(annotate, annotationsOf(checked), Date.now()).forEach(printStderrRaw);
      if (annotate === "github") {
        appendStepSummary(`oomkit: ${checked.summary}`, summaryTable(checked));
      }
    }
    const seconds = (performance.now() - start) / 1000;
    const cases = checked.findings.map(({ cgroup = "oomkit", ...finding }) => ({
      ...finding,
      class: cgroup,
    }));
    const facts = {
      startedAt,
      seconds,
      hostname: Deno.hostname(),
      suite: "oomkit inspect --check",
    };
    file?.write(junitXml(cases, facts));
  };
  return {
    write,
    fail(error) {
      if (isWritten || !(error instanceof OomkitError)) return;
      const { message } = error;
      const findings = [{ check: "target", verdict: "unknown", message }] as const;
      write({ verdict: "unknown", summary: message, findings });
    },
    [Symbol.dispose]: () => file?.[Symbol.dispose](),
  };
}

const summaryTable = ({ findings }: Checked): string[][] => [
  ["check", "result", "cgroup", "details"],
  ...findings.map(({ check, verdict, cgroup = "", message }) => [
    check,
    WORDS[verdict],
    cgroup,
    message,
  ]),
];

/** A finding that is not ok or unknown makes the step fail, so both are errors. */
function annotationsOf({ findings }: Checked): Annotation[] {
  return findings.filter(({ verdict }) => verdict !== "ok").map((finding) => ({
    level: "error",
    title: `oomkit: ${finding.check}${finding.verdict === "not_ok" ? "" : " is unknown"}`,
    message: `${finding.cgroup === undefined ? "" : `${finding.cgroup}: `}${finding.message}`,
  }));
}
