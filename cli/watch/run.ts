/** `oomkit watch -- command…`: what a CI job needs to know about its build. */

import { readAncestry } from "../../core/cgroup/ancestry.ts";
import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { discover, type Hierarchy } from "../../core/cgroup/hierarchy.ts";
import { ownCgroup } from "../../core/cgroup/resolve.ts";
import { cannotRunReason } from "../../core/control/executable.ts";
import { OomkitError, shortened } from "../../core/errors.ts";
import type { EventType, OomkitEvent } from "../../core/events/event.ts";
import { toJson } from "../../core/events/json.ts";
import { type RunReport, runReport } from "../../core/events/run.ts";
import { createSandbox, type Sandbox } from "../../core/simulate/sandbox.ts";
import { startWatch, type Watching } from "../../core/watch/watch.ts";
import { formatBytes, formatPercent } from "../options/units.ts";
import { type Annotation, annotationLines } from "../output/annotate.ts";
import { eventText } from "../output/event_text.ts";
import { printable, printStderr, printStderrRaw } from "../output/output.ts";
import type { RunRecording } from "../output/recording.ts";
import { openResultFile } from "../output/result_file.ts";
import { openReceivers } from "../receivers/receivers.ts";
import { onSignals } from "../signals.ts";
import { chooseStyle } from "../terminal/style.ts";
import { recordingOf, warnAboutPercentages, watchOptions } from "./command.ts";
import type { WatchFlags } from "./options.ts";

/** Not SIGINT on a terminal: there the whole foreground group gets it from the kernel already. */
const PASSED_ON: readonly Deno.Signal[] = ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"];

/**
 * Returns the command's exit code as a shell says it: 128 + N for signal N, 127 and 126 for one that cannot be run. Of
 * that nothing is told but the reason.
 */
export async function runWatched(command: readonly string[], flags: WatchFlags): Promise<number> {
  const program = command[0]!;
  const obstacle = cannotRunReason(program, Deno.env.get("PATH"));
  if (obstacle !== undefined) {
    printStderr(`oomkit: cannot run ${printable(shortened(program)) || '""'}: ${obstacle.reason}`);
    return obstacle.status;
  }
  const hierarchy = discover(flags.root);
  using report = flags.report === undefined
    ? undefined
    : openResultFile(flags.report, "the report");
  const signals = collectSignals();
  let watching: Watching | undefined = undefined;
  const receivers = await openReceivers(flags, {
    command: "watch",
    cgroups: () => watching?.cgroups().map((cgroup) => ({ cgroup })) ?? [],
    alive: () => ({ ok: true }),
    ready: () => watching ? { ok: true } : { ok: false, why: "it is still starting" },
  });
  const { sandbox, cgroup } = findPlace(hierarchy, flags.limit);
  let recording: RunRecording | undefined;
  try {
    recording = await recordingOf(flags, hierarchy.version.number);
    const options = watchOptions(flags, [cgroup]);
    warnAboutPercentages(options, new Map([[cgroup.path, readAncestry(cgroup).limit.bytes]]));
    const events: OomkitEvent[] = [];
    const style = chooseStyle(flags.color);
    const recorded = { ...options, ...(recording && { recordSink: recording }) };
    watching = startWatch(recorded, (event) => {
      events.push(event);
      recording?.event(event);
      receivers.report(event, "");
      if (isNews(event, flags)) printStderr(eventText(event, style));
    });
    const status = await run(command, sandbox, watching, signals);
    const ancestry = readAncestry(cgroup);
    const summary = await watching.stop();
    const verdict = runReport({
      command,
      status,
      events,
      summary,
      ancestry,
      own: sandbox === undefined,
    });
    const line = verdictLine(verdict);
    printStderr(`oomkit: ${line}`);
    const seen = new Set<EventType>(events.map(({ type }) => type));
    const failedBy = flags.failOn?.filter((type) => seen.has(type)) ?? [];
    if (flags.annotate !== undefined) {
      const annotation = runAnnotation(verdict, line, failedBy);
      annotationLines(flags.annotate, [annotation], Date.now()).forEach(printStderrRaw);
    }
    report?.write(`${toJson(verdict, 2)}\n`);
    return failedBy.length > 0 && status.code === 0 ? 1 : status.code;
  } finally {
    await sandbox?.remove();
    try {
      await recording?.close();
    } finally {
      await receivers.close();
      signals.off();
    }
  }
}

interface Signals {
  /** From now on signals go to `child`, those that came before it first. */
  passTo(child: Deno.ChildProcess): void;
  off(): void;
}

/** Handled before there is anything that could be left behind: without a handler a signal would end us on the spot. */
function collectSignals(): Signals {
  const early: Deno.Signal[] = [];
  let pass = (signal: Deno.Signal) => void early.push(signal);
  const isOnTerminal = Deno.stdin.isTerminal();
  const off = onSignals([...PASSED_ON, "SIGINT"], (signal) => {
    if (signal !== "SIGINT" || !isOnTerminal) pass(signal);
  });
  return {
    off,
    passTo(child) {
      pass = (signal) => {
        try {
          child.kill(signal);
        } catch {
          // It has ended meanwhile; its status is on the way.
        }
      };
      early.forEach(pass);
    },
  };
}

/** A cgroup of its own, or the reason why the own one has to do. */
function findPlace(
  hierarchy: Hierarchy,
  limit: number | undefined,
): { readonly sandbox?: Sandbox; readonly cgroup: Cgroup } {
  const made = createSandbox(hierarchy, {
    prefix: "oomkit-run",
    ...(limit === undefined ? {} : { limit }),
  });
  if (!("refused" in made)) return { sandbox: made, cgroup: made.cgroup };
  const omitUndefined = limit === undefined
    ? ""
    : ` and without the limit of ${formatBytes(limit)}`;
  printStderr(`oomkit: running in the own cgroup${omitUndefined}: ${made.refused}`);
  return { cgroup: ownCgroup(hierarchy) };
}

/** What is worth a line between the command's own. */
function isNews({ type }: OomkitEvent, flags: WatchFlags): boolean {
  if (type === "threshold") return flags.threshold !== undefined;
  if (type === "pressure") return flags.pressure !== undefined || flags.psi !== undefined;
  return type === "oom" || type === "oom_kill" || type === "oom_group_kill";
}

/**
 * The shell moves itself and then becomes the command, so that every page of the command is charged to the cgroup from
 * the first on, and no process stands between.
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
    child = new Deno.Command(exec, {
      args: execArgs,
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
  } catch (error) {
    await watching.stop();
    const why = error instanceof Deno.errors.NotFound ? "there is no such program" : error;
    throw new OomkitError(`cannot run ${printable(program!)}: ${why}`);
  }
  signals.passTo(child);
  return await child.status;
}

function verdictLine(report: RunReport): string {
  const { peak, limit, headroom } = report;
  const share = limit === null || headroom === null
    ? "no limit"
    : `${formatBytes(limit)} limit, headroom ${formatBytes(headroom)} (${
      formatPercent(100 * headroom / limit)
    })`;
  const scope = report.own_cgroup ? " of the whole own cgroup" : "";
  const owner = report.limit_owner !== null && report.limit_owner !== report.cgroup
    ? ` set by ${printable(report.limit_owner)}`
    : "";
  return `${printable(report.command[0]!)} ${report.ending}; ${printable(report.verdict_text)}; ` +
    `peak${scope} ${formatBytes(peak ?? undefined)}, ${share}${owner}`;
}

/* What `watch --annotate` tells of a command that has ended. */

/** As at the critical level of `guard`, from 90 % of the limit on: the next build may be the one that dies. */
const CLOSE = 0.1;

/**
 * @param line the verdict in words
 * @param failedBy what `--fail-on` asked for and was seen
 */
export function runAnnotation(
  report: RunReport,
  line: string,
  failedBy: readonly EventType[],
): Annotation {
  if (report.verdict === "oom_killed") return of("error", "killed for want of memory", line);
  if (failedBy.length > 0) {
    return of("error", `${failedBy.join(", ")} seen`, `${line}; --fail-on asks to fail`);
  }
  if (report.verdict === "limit_hit") return of("warning", "the memory limit was hit", line);
  if (report.verdict === "unknown") return of("warning", "memory could not be followed", line);
  const { limit, headroom } = report;
  return limit !== null && headroom !== null && headroom < CLOSE * limit
    ? of("warning", "close to the memory limit", line)
    : of("notice", "memory", line);
}

const of = (level: Annotation["level"], title: string, message: string): Annotation => ({
  level,
  title: `oomkit: ${title}`,
  message,
});
