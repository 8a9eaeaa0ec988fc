import { readAncestry } from "../../core/cgroup/ancestry.ts";
import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { ownCgroup, resolveTarget } from "../../core/cgroup/resolve.ts";
import { OomkitError } from "../../core/errors.ts";
import type { EventType, OomkitEvent } from "../../core/events/event.ts";
import { toJson } from "../../core/events/json.ts";
import type { WatchOptions } from "../../core/watch/options.ts";
import { startWatch, type Watching } from "../../core/watch/watch.ts";
import { eventText } from "../output/event_text.ts";
import type { Live } from "../live/live.ts";
import { choosesLive } from "../terminal/live_choice.ts";
import type { Finish } from "../exit.ts";
import { targetsOf, wantsJson } from "../options/subcommand.ts";
import { print, printable, printStderr } from "../output/output.ts";
import { openQueuedOutput } from "../output/queued_output.ts";
import { createProgress, terminalOutput } from "../terminal/progress.ts";
import { openReceivers } from "../receivers/receivers.ts";
import { isRecorded } from "../options/record.ts";
import type { RunRecording } from "../output/recording.ts";
import { ENDING, onSignals } from "../signals.ts";
import { chooseStyle } from "../terminal/style.ts";
import { watchBase, type WatchFlags } from "./options.ts";
import { runWatched } from "./run.ts";

/** @param command what stood behind `--` on the command line. */
export function watchCommand(finish: Finish, command: readonly string[] | undefined) {
  return watchBase()
    .argument("[targets...]", "cgroups (default: own cgroup, or the command's)")
    .usage("[options] [targets...] | [options] -- command…")
    .action(async (targets, flags, self) => {
      // A variable may be meant for another call; what stands on the command line is meant.
      type Name = "limit" | "report" | "annotate" | "for" | "until" | "recursive" | "live";
      const given = (names: readonly Name[]) =>
        names.find((name) => self.getOptionValueSource(name) === "cli");
      if (command === undefined) {
        const alien = given(["limit", "report", "annotate"]);
        if (alien !== undefined) {
          throw new OomkitError(
            `cannot use --${alien} without a command`,
            "write: oomkit watch --limit 512M -- make",
          );
        }
        finish(await watchTargets(targetsOf(self, targets), flags));
      } else {
        if (targets.length > 0 || command.length === 0) {
          throw new OomkitError(
            targets.length > 0
              ? `cannot watch ${targets[0]} and a command at once`
              : "cannot run a command: none stands behind --",
            "write: oomkit watch -- make",
          );
        }
        const alien = wantsJson(flags) && self.getOptionValueSource("output") !== "env"
          ? "json"
          : flags.live && given(["live"])
          ? "live"
          : given(["for", "until", "recursive"]);
        if (alien !== undefined) {
          throw new OomkitError(
            `cannot use --${alien} with a command: the watch lasts as long as it does, and stdout is its own`,
            "write: oomkit watch --report FILE -- make",
          );
        }
        finish(await runWatched(command, flags));
      }
    });
}

/** The parts of the options that both ways of watching share. */
export function watchOptions(flags: WatchFlags, targets: readonly Cgroup[]): WatchOptions {
  return {
    targets,
    recursive: flags.recursive === true,
    thresholds: flags.threshold ?? [],
    pressure: flags.pressure ?? [],
    psi: flags.psi ?? [],
    ...(flags.poll === undefined ? {} : { poll: flags.poll }),
  };
}

/** A percentage of no limit is no threshold; better said than waited for. */
export function warnAboutPercentages(options: WatchOptions, limits: ReadonlyMap<string, number>) {
  if (!options.thresholds.some((threshold) => "percent" in threshold)) return;
  for (const [path, limit] of limits) {
    if (Number.isFinite(limit)) continue;
    throw new OomkitError(
      `cannot watch ${printable(path)} for a percentage: neither it nor an ancestor has a limit`,
      "give the threshold as a size, such as --threshold 480M",
    );
  }
}

/** What is asked for of it; whoever does not ask for one does not load what it takes. */
export async function recordingOf(
  flags: WatchFlags,
  hierarchy: 1 | 2,
): Promise<RunRecording | undefined> {
  if (!isRecorded(flags)) return undefined;
  const { openRecording } = await import("../output/recording.ts");
  return await openRecording(flags, { command: "watch", hierarchy });
}

async function watchTargets(targets: readonly string[], flags: WatchFlags): Promise<number> {
  const hierarchy = discover(flags.root);
  const cgroups = targets.length === 0
    ? [ownCgroup(hierarchy)]
    : targets.flatMap((target) => resolveTarget(hierarchy, target));
  const unique = [...new Map(cgroups.map((cgroup) => [cgroup.path, cgroup])).values()];
  const options = watchOptions(flags, unique);
  if (!options.recursive) {
    const limits = unique.map((c) => [c.path, readAncestry(c).limit.bytes] as const);
    warnAboutPercentages(options, new Map(limits));
  }

  const { number: version } = hierarchy.version;
  const json = wantsJson(flags);
  const style = chooseStyle(flags.color);
  let watching: Watching | undefined = undefined;
  let failure: unknown;
  const receivers = await openReceivers(flags, {
    command: "watch",
    cgroups: () => watching?.cgroups().map((cgroup) => ({ cgroup })) ?? [],
    alive: () => failure === undefined ? { ok: true } : { ok: false, why: String(failure) },
    ready: () => watching ? { ok: true } : { ok: false, why: "it is still starting" },
  });
  const recording = await recordingOf(flags, version).catch(async (error) => {
    await receivers.close();
    throw error;
  });
  // Who does not read stdout must not keep the others from being told.
  const output = receivers.hasAny ? openQueuedOutput() : undefined;
  const seen = new Set<EventType>();
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
  const until = new Set(flags.until);
  let live: Live | undefined;
  const emit = (event: OomkitEvent) => {
    seen.add(event.type);
    recording?.event(event);
    receivers.report(event, "");
    if (!live?.tell(event)) print(json ? toJson(event) : eventText(event, style));
    if (until.has(event.type)) reach();
  };

  // Before anybody is told that the watch has begun: what ends it from then on must find its summary.
  const isOnTerminal = Deno.stdin.isTerminal();
  const offSignals = onSignals(ENDING, (signal) => {
    if (signal === "SIGHUP" && !isOnTerminal && flags.logFile) receivers.reopen();
    else reach();
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    if (choosesLive(flags, json ? "JSON is printed" : undefined)) {
      const { openWatchLive } = await import("../live/of_watch.ts");
      live = openWatchLive({ wishes: flags, end: reach }, options.thresholds, () => watching);
    }
    // All of it in one go, so that no line of another comes in between, and no view is drawn yet.
    const arming = createProgress(terminalOutput());
    watching = startWatch({
      ...options,
      ...(recording && { recordSink: recording }),
      onTarget: (count) => arming.show(`arming, ${count} so far`),
    }, emit);
    arming.end();
    watching.done.catch((error) => failure = error);
    const what = unique.length === 1 ? printable(unique[0]!.path) : `${unique.length} cgroups`;
    const beneath = options.recursive ? " and all beneath" : "";
    printStderr(`watching ${what}${beneath} (cgroup v${version}): ${watching.sources.join("; ")}`);
    if (flags.for !== undefined) timer = setTimeout(reach, flags.for);
    await Promise.race([watching.done, reached]);
    // What is told from here on is to be read afterwards, too.
    await live?.close();
    await watching.stop();
  } finally {
    clearTimeout(timer);
    await live?.close();
    try {
      await recording?.close();
    } finally {
      await receivers.close();
      await output?.close();
      offSignals();
    }
  }
  const failed = flags.failOn?.some((type) => seen.has(type)) ?? false;
  const missed = until.size > 0 && ![...until].some((type) => seen.has(type));
  return failed || missed ? 1 : 0;
}
