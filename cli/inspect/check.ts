/** `inspect --check`: is this cgroup, or this node, fit? One line for each finding, the bad ones first. */

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
import type { Checked, Finding } from "../../core/events/inspect.ts";
import { printable } from "../output/output.ts";
import type { Style } from "../terminal/style.ts";
import { cut } from "../terminal/table.ts";
import { formatBytes, formatPercent } from "../options/units.ts";

export interface Wanted {
  readonly minHeadroom?: Amount | undefined;
  readonly maxUsage?: Amount | undefined;
  readonly require: readonly Requirement[];
}

/** node-problem-detector shows no more of what a plugin says. */
const SUMMARY = 80;

const WORDS = { ok: "ok", not_ok: "not ok", unknown: "unknown" } as const;
const COLORS = { ok: "green", not_ok: "red", unknown: "yellow" } as const;
const ORDER = ["not_ok", "unknown", "ok"] as const;

/** @param missing what was said of targets that could not be found or read. */
export function check(
  requested: Wanted,
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
  { minHeadroom, maxUsage, require }: Wanted,
  found: Inspection,
  machine: Machine,
  wholeMachine: boolean,
): Finding[] {
  const cgroup = found.cgroup.path;
  const room = wholeMachine ? machineRoom(machine) : roomOf(found, machine);
  const { own } = room;
  const findings: Finding[] = [];
  if (minHeadroom) {
    const verdict = checkHeadroom(room, minHeadroom);
    const has = `${formatBytes(room.left)}${share(room.left, room)} left`;
    findings.push({
      cgroup,
      check: "min-headroom",
      verdict,
      message: tell(has, "at least", minHeadroom, room),
    });
  }
  if (maxUsage) {
    // Bytes are this cgroup's own business, a percentage is of whatever limit it shares.
    const used = "bytes" in maxUsage ? own : room.used;
    const verdict = checkUsage({ ...room, used }, maxUsage);
    const has = `${formatBytes(used)}${share(used, room)} in use`;
    findings.push({
      cgroup,
      check: "max-usage",
      verdict,
      message: tell(has, "at most", maxUsage, room),
    });
  }
  for (const requirement of require) {
    findings.push({ cgroup, check: requirement, ...checkRequirements(requirement, found.cgroup) });
  }
  return findings;
}

interface OwnedRoom extends Capacity {
  /** Usage of the cgroup itself, bytes. */
  readonly own?: number | undefined;
  readonly whose: string;
}

function roomOf({ snapshot, ancestry, cgroup }: Inspection, machine: Machine): OwnedRoom {
  const { headroom, chain, limit } = ancestry;
  const own = snapshot.usage;
  if (headroom) {
    const used = chain.find(({ path }) => path === headroom.owner)?.usage ?? own;
    const whose = headroom.owner === cgroup.path
      ? "its own limit"
      : `the limit of ${headroom.owner ?? "an ancestor that cannot be seen"}`;
    return { used, own, left: headroom.bytes, limit: headroom.limit, whose };
  }
  if (limit.bytes !== Infinity) return { own, limit: limit.bytes, whose: "the limit" };
  // Without a limit it is the machine that runs out.
  const left = cgroup.hierarchy.kernel ? machine.memory.available : undefined;
  return { used: own, own, left, limit: Infinity, whose: "no limit" };
}

function machineRoom({ memory: { total, available } }: Machine): OwnedRoom {
  const used = total === undefined || available === undefined ? undefined : total - available;
  return { used, own: used, left: available, limit: total, whose: "the machine's memory" };
}

function share(bytes: number | undefined, { limit }: Capacity): string {
  if (bytes === undefined || limit === undefined || limit === Infinity || limit === 0) return "";
  return ` (${formatPercent(100 * bytes / limit)})`;
}

function tell(has: string, bound: string, amount: Amount, { limit, whose }: OwnedRoom): string {
  const requested = "bytes" in amount ? formatBytes(amount.bytes) : formatPercent(amount.percent);
  if ("percent" in amount && (limit === Infinity || limit === 0)) {
    return `no limit to take ${requested} of; give bytes such as 512M, or set a limit`;
  }
  const size = limit === Infinity ? "" : ` of ${formatBytes(limit)}`;
  return `${has}, wanted ${bound} ${requested}; ${whose}${size}`;
}

function summaryOf(verdict: Checked["verdict"], findings: readonly Finding[]): string {
  const [worst] = findings;
  if (verdict === "ok" || worst === undefined) {
    return `OK: ${findings.length} ${findings.length === 1 ? "check" : "checks"} passed`;
  }
  const others = findings.filter((finding) => finding.verdict === verdict).length - 1;
  const more = others > 0 ? ` (+${others})` : "";
  const head = verdict === "not_ok" ? "NOT OK" : "UNKNOWN";
  return cut(`${head}${more}: ${worst.check}: ${printable(worst.message)}`, SUMMARY);
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
