/** `oomkit watch -- command…`: what a CI job needs to know about its build. */

import { obstacleToRun } from "../core/act/program.ts";
import { readAncestry } from "../core/cgroup/ancestry.ts";
import type { Cgroup } from "../core/cgroup/cgroup.ts";
import { discover, type Hierarchy } from "../core/cgroup/hierarchy.ts";
import { ownCgroup } from "../core/cgroup/resolve.ts";
import { OomkitError, shortened } from "../core/errors.ts";
import type { EventType, OomkitEvent } from "../core/report/event.ts";
import { toJson } from "../core/report/json.ts";
import { judge, type RunReport } from "../core/report/run.ts";
import { makeSandbox, type Sandbox } from "../core/simulate/sandbox.ts";
import { startWatch, type Watching } from "../core/watch/watch.ts";
import { annotationLines } from "./annotate.ts";
import { eventText } from "./event_text.ts";
import { printable, say, sayAsIs } from "./output.ts";
import { openResultFile } from "./result_file.ts";
import type { RunRecording } from "./recording.ts";
import { runAnnotation } from "./run_annotation.ts";
import { openReceivers } from "./reporters.ts";
import { onSignals } from "./signals.ts";
import { chooseStyle } from "./style.ts";
import { formatBytes, formatPercent } from "./units.ts";
import { recordingOf, warnAboutPercentages, watchOptions } from "./watch.ts";
import type { WatchFlags } from "./watch_options.ts";

/** Not SIGINT on a terminal: there the whole foreground group gets it from the kernel already. */
const PASSED_ON: readonly Deno.Signal[] = ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"];

/**
 * Returns the command's exit code as a shell says it: 128 + N for signal N, 127 and 126 for one that cannot be run. Of
 * that nothing is told but the reason.
 */
export async function runWatched(command: readonly string[], flags: WatchFlags): Promise<number> {
  const program = command[0]!;
  const obstacle = obstacleToRun(program, Deno.env.get("PATH"));
  if (obstacle !== undefined) {
    say(`oomkit: cannot run ${printable(shortened(program)) || '""'}: ${obstacle.reason}`);
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
      if (isNews(event, flags)) say(eventText(event, style));
    });
    const status = await run(command, sandbox, watching, signals);
    const ancestry = readAncestry(cgroup);
    const summary = await watching.stop();
    const verdict = judge({
      command,
      status,
      events,
      summary,
      ancestry,
      own: sandbox === undefined,
    });
    const line = verdictLine(verdict);
    say(`oomkit: ${line}`);
    const seen = new Set<EventType>(events.map(({ type }) => type));
    const failedBy = flags.failOn?.filter((type) => seen.has(type)) ?? [];
    if (flags.annotate !== undefined) {
      const annotation = runAnnotation(verdict, line, failedBy);
      annotationLines(flags.annotate, [annotation], Date.now()).forEach(sayAsIs);
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
  const made = makeSandbox(hierarchy, {
    prefix: "oomkit-run",
    ...(limit === undefined ? {} : { limit }),
  });
  if (!("refused" in made)) return { sandbox: made, cgroup: made.cgroup };
  const omitUndefined = limit === undefined
    ? ""
    : ` and without the limit of ${formatBytes(limit)}`;
  say(`oomkit: running in the own cgroup${omitUndefined}: ${made.refused}`);
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
