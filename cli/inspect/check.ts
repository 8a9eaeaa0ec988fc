/** `inspect --check`: whether a cgroup or this node is fit. One line for each finding, failures first. */

import type { Inspection } from "../../core/cgroup/inspection.ts";
import type { Machine } from "../../core/cgroup/machine.ts";
import { checkRequirements, type Requirement } from "../../core/cgroup/requirements.ts";
import {
  type Amount,
  type Capacity,
  checkHeadroom,
  checkUsage,
  overall,
} from "../../core/policy/check.ts";
import { OomkitError } from "../../core/errors.ts";
import type { Checked, Finding } from "../../core/events/inspect_document.ts";
import type { CiService } from "../options/subcommand.ts";
import { type Annotation, annotationLines } from "../output/annotate.ts";
import { junitXml } from "../output/junit.ts";
import { printable, printStderrRaw } from "../output/output.ts";
import { openResultFile } from "../output/files.ts";
import type { Style } from "../terminal/palette.ts";
import { cut } from "../terminal/layout.ts";
import { formatBytes, formatPercent } from "../options/units.ts";

interface Requested {
  readonly minHeadroom?: Amount | undefined;
  readonly maxUsage?: Amount | undefined;
  readonly require: readonly Requirement[];
}

/** node-problem-detector shows no more of a plugin's output. */
const MAX_SUMMARY_CHARACTERS = 80;

const WORDS = { ok: "ok", not_ok: "not ok", unknown: "unknown" } as const;
const COLORS = { ok: "green", not_ok: "red", unknown: "yellow" } as const;
const ORDER = ["not_ok", "unknown", "ok"] as const;

/** @param missing error messages of targets that could not be found or read. */
export function check(
  requested: Requested,
  found: readonly Inspection[],
  machine: Machine,
  { wholeMachine, missing }: {
    readonly wholeMachine: boolean;
    readonly missing: readonly string[];
  },
): Checked {
  const findings = [
    ...missing.map((message): Finding => ({ check: "target", verdict: "unknown", message })),
    ...found.flatMap((each) => findingsOf(requested, each, machine, wholeMachine)),
  ];
  findings.sort((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict));
  const verdict = overall(findings.map((finding) => finding.verdict));
  return { verdict, summary: summaryOf(verdict, findings), findings };
}

function findingsOf(
  { minHeadroom, maxUsage, require }: Requested,
  found: Inspection,
  machine: Machine,
  wholeMachine: boolean,
): Finding[] {
  const cgroup = found.cgroup.path;
  const capacity = wholeMachine ? machineCapacity(machine) : capacityOf(found, machine);
  const findings: Finding[] = [];
  if (minHeadroom) {
    const has = `${formatBytes(capacity.left)}${share(capacity.left, capacity)}`;
    const verdict = checkHeadroom(capacity, minHeadroom);
    const message = comparison(has, "at least", minHeadroom, capacity);
    findings.push({ cgroup, check: "min-headroom", verdict, message });
  }
  if (maxUsage) {
    // An amount in bytes is compared with the cgroup's own usage, a percentage with that of the owner of the limit.
    const used = "bytes" in maxUsage ? capacity.own : capacity.used;
    const has = `${formatBytes(used)}${share(used, capacity)}`;
    const verdict = checkUsage({ ...capacity, used }, maxUsage);
    const message = comparison(has, "at most", maxUsage, capacity);
    findings.push({ cgroup, check: "max-usage", verdict, message });
  }
  for (const requirement of require) {
    findings.push({ cgroup, check: requirement, ...checkRequirements(requirement, found.cgroup) });
  }
  return findings;
}

interface OwnedCapacity extends Capacity {
  /** Usage of the cgroup itself, bytes. */
  readonly own?: number | undefined;
  /** The limit, in words. */
  readonly source: string;
}

function capacityOf({ snapshot, ancestry, cgroup }: Inspection, machine: Machine): OwnedCapacity {
  const { headroom, chain, limit } = ancestry;
  const own = snapshot.usage;
  if (headroom) {
    const used = chain.find(({ path }) => path === headroom.owner)?.usage ?? own;
    const source = headroom.owner === cgroup.path
      ? "its own limit"
      : `the limit of ${headroom.owner ?? "an ancestor that is not visible"}`;
    return { used, own, left: headroom.bytes, limit: headroom.limit, source };
  }
  if (limit.bytes !== Infinity) return { own, limit: limit.bytes, source: "the limit" };
  // Without a limit the machine's memory counts.
  const left = cgroup.hierarchy.kernel ? machine.memory.available : undefined;
  return { used: own, own, left, limit: Infinity, source: "no limit" };
}

function machineCapacity({ memory: { total, available } }: Machine): OwnedCapacity {
  const used = total === undefined || available === undefined ? undefined : total - available;
  return { used, own: used, left: available, limit: total, source: "the machine's memory" };
}

function share(bytes: number | undefined, { limit }: Capacity): string {
  if (bytes === undefined || limit === undefined || limit === Infinity || limit === 0) return "";
  return ` (${formatPercent(100 * bytes / limit)})`;
}

function comparison(
  has: string,
  bound: string,
  amount: Amount,
  { limit, source }: OwnedCapacity,
): string {
  const requested = "bytes" in amount ? formatBytes(amount.bytes) : formatPercent(amount.percent);
  if ("percent" in amount && (limit === Infinity || limit === 0)) {
    return `${requested} of no limit is undefined; give bytes such as 512M, or set a limit`;
  }
  const size = limit === Infinity ? "" : ` of ${formatBytes(limit)}`;
  return `${has}, required: ${bound} ${requested}; ${source}${size}`;
}

function summaryOf(verdict: Checked["verdict"], findings: readonly Finding[]): string {
  const [worst] = findings;
  if (verdict === "ok" || worst === undefined) {
    return `OK: ${findings.length} ${findings.length === 1 ? "check" : "checks"} passed`;
  }
  const others = findings.filter((finding) => finding.verdict === verdict).length - 1;
  const more = others > 0 ? ` (+${others})` : "";
  const head = verdict === "not_ok" ? "NOT OK" : "UNKNOWN";
  const text = `${head}${more}: ${worst.check}: ${printable(worst.message)}`;
  return cut(text, MAX_SUMMARY_CHARACTERS);
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
    }
    const seconds = (performance.now() - start) / 1000;
    file?.write(junitXml(checked, { startedAt, seconds, hostname: Deno.hostname() }));
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

/** A finding that is not ok or unknown makes the step fail, so both are errors. */
function annotationsOf({ findings }: Checked): Annotation[] {
  return findings.filter(({ verdict }) => verdict !== "ok").map((finding) => ({
    level: "error",
    title: `oomkit: ${finding.check}${finding.verdict === "not_ok" ? "" : " is unknown"}`,
    message: `${finding.cgroup === undefined ? "" : `${finding.cgroup}: `}${finding.message}`,
  }));
}
