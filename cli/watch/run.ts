/** `oomkit watch -- command…`: runs a command, such as a CI build, and reports its memory use. */

import { shareOf } from "../../core/policy/check.ts";
import { readAncestry, readMachineMemory } from "../../core/cgroup/ancestry.ts";
import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { discover, type Hierarchy } from "../../core/cgroup/hierarchy.ts";
import { ownCgroup } from "../../core/cgroup/resolve.ts";
import { cannotRunReason } from "../../core/control/executable.ts";
import { OomkitError, shortened } from "../../core/errors.ts";
import { type EventType, makeEvent, type OomkitEvent } from "../../core/events/event.ts";
import { toJson } from "../../core/events/json.ts";
import { type CommandReport, commandReport } from "../../core/events/command_report.ts";
import { createSandbox, type Sandbox } from "../../core/simulate/sandbox.ts";
import type { Watching } from "../../core/watch/watch.ts";
import { formatBytes, formatPercent } from "../options/units.ts";
import { type Annotation, annotationLines } from "../output/annotate.ts";
import type { JunitCase } from "../output/junit.ts";
import { printEventOnStderr } from "../output/event_output.ts";
import { eventTextFor } from "../output/event_text.ts";
import { printable, printStderr, printStderrRaw } from "../output/output.ts";
import { openResultFile } from "../output/files.ts";
import { onSignals } from "../signals.ts";
import { chooseStyle } from "../terminal/palette.ts";
import { checkPercentages, watchOptions, WatchSession } from "./session.ts";
import type { WatchFlags } from "./options.ts";

/** Without SIGINT: on a terminal the kernel sends it to the whole foreground group. */
const FORWARDED = ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/**
 * Resolves to the command's exit code as a shell reports it: 128 + N for signal N; 127 or 126 if it cannot be run, in which case only
 * the reason is printed.
 */
export async function runWatched(command: readonly string[], flags: WatchFlags): Promise<number> {
  const program = command[0]!;
  const obstacle = cannotRunReason(program, Deno.env.get("PATH"));
  if (obstacle !== undefined) {
    printStderr(`oomkit: cannot run ${printable(shortened(program)) || '""'}: ${obstacle.reason}`);
    return obstacle.status;
  }
  const hierarchy = discover(flags.root);
  const signals = collectSignals();
  const session = await WatchSession.open(flags, hierarchy.version.number);
  let sandbox: Sandbox | undefined;
  try {
    const place = cgroupFor(hierarchy, flags);
    const { cgroup, refused } = place;
    sandbox = place.sandbox;
    const options = watchOptions(flags, [cgroup]);
    checkPercentages(options, [cgroup]);
    // After everything that refuses to run the command: no empty report is left then.
    using report = flags.report === undefined
      ? undefined
      : openResultFile(flags.report, "the report");
    using junit = flags.junit === undefined ? undefined : openResultFile(flags.junit, "JUnit XML");
    const startedAt = Date.now();
    const events: OomkitEvent[] = [];
    const style = chooseStyle(flags.color, Deno.stderr);
    const textOf = eventTextFor(Deno.stderr);
    const emit = (event: OomkitEvent) => {
      events.push(event);
      if (isPrinted(event, flags)) printEventOnStderr(textOf(event, style), event);
    };
    const watching = session.start(options, emit);
    if (refused !== undefined) session.report(fallbackEvent(cgroup, flags, refused), emit);
    const status = await run(command, sandbox, watching, signals);
    const ancestry = readAncestry(cgroup);
    const summary = await watching.stop();
    const limit = { requested: flags.limit, refused };
    const machine = readMachineMemory(cgroup);
    // What the command could have used of the machine.
    const machineRoom = machine && machine.left + (ancestry.chain[0]?.usage ?? 0);
    const facts = { command, status, events, summary, ancestry, limit };
    const verdict = commandReport({ ...facts, ...machineRoom !== undefined && { machineRoom } });
    const line = verdictLine(verdict);
    if (!flags.quiet || verdict.verdict !== "fine") printStderr(`oomkit: ${line}`);
    const seen = new Set<EventType>(events.map(({ type }) => type));
    const failedBy = flags.failOn?.filter((type) => seen.has(type)) ?? [];
    if (flags.annotate !== undefined) {
      const annotation = runAnnotation(verdict, line, failedBy);
      annotationLines(flags.annotate, [annotation], Date.now()).forEach(printStderrRaw);
      if (flags.annotate === "github") {
        const { appendStepSummary } = await import("../output/step_summary.ts");
        appendStepSummary(annotation.title, summaryTable(verdict));
      }
    }
    if (junit !== undefined) {
      const { junitXml } = await import("../output/junit.ts");
      const { seconds } = verdict;
      const facts = { startedAt, seconds, hostname: Deno.hostname(), suite: "oomkit watch" };
      junit.write(junitXml(runCases(verdict, line, flags.failOn ?? [], failedBy), facts));
    }
    report?.write(`${toJson(verdict, 2)}\n`);
    return failedBy.length > 0 && status.code === 0 ? 1 : status.code;
  } finally {
    await sandbox?.remove();
    try {
      await session.close();
    } finally {
      signals.off();
    }
  }
}

interface Signals {
  /** Forwards signals to `child`, first those that arrived before. */
  forwardTo(child: Deno.ChildProcess): void;
  off(): void;
}

/** Called before the cgroup is created: without a handler a signal would end oomkit and leave the cgroup behind. */
function collectSignals(): Signals {
  const early: Deno.Signal[] = [];
  let forward = (signal: Deno.Signal) => void early.push(signal);
  const isOnTerminal = Deno.stdin.isTerminal();
  const off = onSignals([...FORWARDED, "SIGINT"], (signal) => {
    if (signal !== "SIGINT" || !isOnTerminal) forward(signal);
  });
  return {
    off,
    forwardTo(child) {
      forward = (signal) => {
        try {
          child.kill(signal);
        } catch {
          // The command has exited.
        }
      };
      early.forEach(forward);
    },
  };
}

/**
 * A new cgroup for the command, or oomkit's own one with a printed reason, `refused`.
 * Throws {@link OomkitError} if there is a limit that a command in oomkit's own cgroup would not have.
 */
function cgroupFor(
  hierarchy: Hierarchy,
  { limit, limitOptional }: WatchFlags,
): { readonly sandbox?: Sandbox; readonly cgroup: Cgroup; readonly refused?: string } {
  const made = createSandbox(hierarchy, {
    prefix: "oomkit-run",
    ...(limit !== undefined && { limit }),
  });
  if (!("refused" in made)) return { sandbox: made, cgroup: made.cgroup };
  const { refused } = made;
  if (limit !== undefined && !limitOptional) {
    throw new OomkitError(
      `cannot limit the command to ${formatBytes(limit)}: ${refused}`,
      "run it where oomkit may create cgroups, or add --limit-optional to run it without the limit",
    );
  }
  const start = limit === undefined ? "oomkit: " : "oomkit: warning: ";
  const withoutLimit = limit === undefined ? "" : `, without the limit of ${formatBytes(limit)}`;
  printStderr(`${start}the command runs in oomkit's own cgroup${withoutLimit}: ${refused}`);
  return { cgroup: ownCgroup(hierarchy), refused };
}

/** Emitted where the command has no cgroup of its own. */
function fallbackEvent(cgroup: Cgroup, { limit }: WatchFlags, reason: string): OomkitEvent {
  return makeEvent(Date.now(), cgroup.path, "none", {
    type: "degraded",
    requested: limit === undefined ? "cgroup of the command" : "limit of the command",
    fallback: limit === undefined ? "oomkit's own cgroup" : "no limit, oomkit's own cgroup",
    reason,
  });
}

/** Only requested and severe events are printed among the output of the command. */
function isPrinted({ type }: OomkitEvent, flags: WatchFlags): boolean {
  if (type === "threshold") return flags.threshold !== undefined;
  if (type === "pressure") return flags.pressure !== undefined || flags.psi !== undefined;
  return type === "oom" || type === "oom_kill" || type === "oom_group_kill";
}

/**
 * The shell moves itself into the cgroup and then becomes the command, so that every page of the command is charged to the cgroup,
 * and no extra process remains.
 */
const ENTER = 'echo 0 > "$1" || exit 125; shift; exec "$@"';

async function run(
  command: readonly string[],
  sandbox: Sandbox | undefined,
  watching: Watching,
  signals: Signals,
): Promise<Deno.CommandStatus> {
  const [program, ...args] = command;
  const [exec, execArgs] = sandbox
    ? ["/bin/sh", ["-c", ENTER, "oomkit", sandbox.procsFile, ...command]]
    : [program!, args];
  let child: Deno.ChildProcess;
  try {
    // It inherits stdin, stdout and stderr.
    child = new Deno.Command(exec, { args: execArgs }).spawn();
  } catch (error) {
    await watching.stop();
    const reason = error instanceof Deno.errors.NotFound ? "there is no such program" : error;
    throw new OomkitError(`cannot run ${printable(program!)}: ${reason}`);
  }
  signals.forwardTo(child);
  return await child.status;
}

/** What `watch -- command` says at the end. */
export function verdictLine(report: CommandReport): string {
  const { peak, limit, headroom, requested_limit: requested, limit_refused: refused } = report;
  // A kernel that keeps no peak still has the limit.
  const left = limit === null || headroom === null
    ? ""
    : `, headroom ${formatBytes(headroom)} (${formatPercent(shareOf(headroom, limit, 0))})`;
  const scope = report.own_cgroup ? " of oomkit's own cgroup" : "";
  const owner = report.limit_owner !== null && report.limit_owner !== report.cgroup
    ? ` set by ${printable(report.limit_owner)}`
    : "";
  const size = formatBytes(limit ?? undefined);
  const share = limit === null
    ? "no limit"
    : report.limit_scope === "system"
    ? `the machine has ${size}${left}`
    : `${size} limit${owner}${left}`;
  const notApplied = refused === null || requested === null
    ? ""
    : `; warning: ran without the limit of ${formatBytes(requested)} (${printable(refused)})`;
  return `${printable(report.command[0]!)} ${report.ending}; ${printable(report.verdict_text)}; ` +
    `peak${scope} ${peak === null ? "unknown" : formatBytes(peak)}, ${share}${notApplied}`;
}

/**
 * What `watch --junit` says: whether the kernel killed, whether the limit applied, and the events of `--fail-on`.
 *
 * @param line the verdict as text
 */
export function runCases(
  report: CommandReport,
  line: string,
  failOn: readonly EventType[],
  failedBy: readonly EventType[],
): JunitCase[] {
  const caseOf = (check: string, verdict: JunitCase["verdict"]) => ({
    class: report.command[0]!,
    check,
    verdict,
    message: line,
  });
  const kills = { oom_killed: "not_ok", unknown: "unknown", limit_hit: "ok", fine: "ok" } as const;
  const { requested_limit: requested, limit_refused: refused } = report;
  return [
    caseOf("oom_kill", kills[report.verdict]),
    ...requested === null ? [] : [caseOf("limit", refused === null ? "ok" : "unknown")],
    ...failOn.filter((type) => type !== "oom_kill")
      .map((type) => caseOf(type, failedBy.includes(type) ? "not_ok" : "ok")),
  ];
}

function summaryTable({ command, ending, verdict_text, peak, limit, headroom }: CommandReport) {
  const size = (bytes: number | null) => formatBytes(bytes ?? undefined);
  return [
    ["command", "ended", "kernel", "peak", "limit", "headroom"],
    [
      command[0]!,
      ending,
      verdict_text,
      size(peak),
      limit === null ? "none" : size(limit),
      size(headroom),
    ],
  ];
}

/** Share of the limit: a peak above 90 %, the critical level of `guard`, means that the next build may be killed. */
const MIN_HEADROOM_SHARE = 0.1;

/**
 * What `watch --annotate` shows about a command that has exited.
 *
 * @param line the verdict as text
 * @param failedBy the events of `--fail-on` that occurred
 */
export function runAnnotation(
  report: CommandReport,
  line: string,
  failedBy: readonly EventType[],
): Annotation {
  if (report.verdict === "oom_killed") return of("error", "out of memory", line);
  if (failedBy.length > 0) {
    return of("error", `${failedBy.join(", ")} seen`, `${line}; failed by --fail-on`);
  }
  if (report.limit_refused !== null) {
    return of("warning", "the command ran without its memory limit", line);
  }
  if (report.verdict === "limit_hit") return of("warning", "the memory limit was hit", line);
  if (report.verdict === "unknown") return of("warning", "memory use is unknown", line);
  const { limit, headroom } = report;
  return limit !== null && headroom !== null && headroom < MIN_HEADROOM_SHARE * limit
    ? of("warning", "close to the memory limit", line)
    : of("notice", "memory", line);
}

const of = (level: Annotation["level"], title: string, message: string): Annotation => ({
  level,
  title: `oomkit: ${title}`,
  message,
});
