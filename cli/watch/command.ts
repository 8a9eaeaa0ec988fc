import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { discover, type Hierarchy } from "../../core/cgroup/hierarchy.ts";
import { ownCgroup, resolveTarget } from "../../core/cgroup/resolve.ts";
import { OomkitError } from "../../core/errors.ts";
import type { EventType, OomkitEvent } from "../../core/events/event.ts";
import { toJson } from "../../core/events/json.ts";
import type { WatchOptions } from "../../core/watch/options.ts";
import type { Finish } from "../exit.ts";
import type { Live } from "../live/live.ts";
import { targetsOf, wantsJson } from "../options/subcommand.ts";
import { printEvent } from "../output/event_output.ts";
import { eventTextFor } from "../output/event_text.ts";
import { printable, printStderr } from "../output/output.ts";
import { openQueuedOutput } from "../output/queued_output.ts";
import { ENDING, onSignals } from "../signals.ts";
import { shouldDrawLive } from "../terminal/capabilities.ts";
import { createProgress, terminalOutput } from "../terminal/progress.ts";
import { chooseStyle } from "../terminal/palette.ts";
import { checkPercentages, watchOptions, WatchSession } from "./session.ts";
import { watchBase, type WatchFlags } from "./options.ts";
import { runWatched } from "./run.ts";

/** @param command the words after `--` on the command line */
export function watchCommand(finish: Finish, command: readonly string[] | undefined) {
  return watchBase()
    .argument("[targets...]", "cgroups (default: own cgroup, or the command's)")
    .usage("[options] [targets...] | [options] -- command…")
    .action(async (targets, flags, self) => {
      // Only options of the command line are refused: a variable may be meant for another call.
      const given = <Name extends keyof WatchFlags>(names: readonly Name[]) =>
        names.find((name) => self.getOptionValueSource(name) === "cli");
      if (command === undefined) {
        const refused = given(["limit", "limitOptional", "report", "junit", "annotate"] as const);
        if (refused !== undefined) {
          const example = {
            limit: "--limit 512M",
            limitOptional: "--limit-optional --limit 512M",
            report: "--report FILE",
            junit: "--junit FILE",
            annotate: "--annotate github",
          }[refused];
          throw new OomkitError(
            `cannot use ${example.split(" ")[0]} without a command`,
            `write: oomkit watch ${example} -- make`,
          );
        }
        if (flags.replay !== undefined) {
          const { replayInView } = await import("./replay.ts");
          return finish(await replayInView(flags.replay, targets, flags, self));
        }
        return finish(await watchTargets(targetsOf(self, targets), flags));
      }
      if (targets.length > 0 || command.length === 0) {
        throw new OomkitError(
          targets.length > 0
            ? `cannot watch ${targets[0]} together with a command`
            : "cannot run a command: nothing follows --",
          "write: oomkit watch -- make",
        );
      }
      if (given(["limitOptional"]) && flags.limit === undefined) {
        throw new OomkitError("cannot use --limit-optional without --limit", "add --limit 512M");
      }
      const refused = wantsJson(flags) && self.getOptionValueSource("output") !== "env"
        ? "json"
        : flags.live && given(["live"])
        ? "live"
        : given(["for", "until", "recursive", "replay"]);
      if (refused !== undefined) {
        const [why, right] = REFUSED_WITH_COMMAND[refused];
        throw new OomkitError(`cannot use --${refused} with a command: ${why}`, right);
      }
      finish(await runWatched(command, flags));
    });
}

/** Why each is refused, and what to use. */
const REFUSED_WITH_COMMAND = {
  json: ["stdout belongs to the command", "use --report FILE or --log-file FILE"],
  live: ["stdout belongs to the command", "its events are printed to stderr"],
  for: ["the watch ends with the command", "use: timeout 5 COMMAND"],
  until: ["the watch ends with the command", "use --fail-on for the exit status"],
  replay: ["the command runs now", "leave one of them out"],
  recursive: ["only the cgroup of the command is watched", "leave it out"],
} as const;

/** What has to be requested before a watch emits an event of the type; `undefined` where it always does. */
function absentRequest(
  type: EventType,
  flags: WatchFlags,
  { number, canThrottle }: Hierarchy["version"],
): string | undefined {
  switch (type) {
    case "threshold":
      return flags.threshold === undefined ? "without --threshold" : undefined;
    case "pressure":
      return flags.pressure ?? flags.psi ? undefined : "without --pressure or --psi";
    case "cgroup_created":
      return flags.recursive ? undefined : "without --recursive";
    case "high":
    case "oom_group_kill":
      return canThrottle ? undefined : `on cgroup v${number}`;
    default:
      return undefined;
  }
}

/** Throws `OomkitError` for `--until` with types that are all never emitted: the watch would not end. */
function checkAwaited(flags: WatchFlags, version: Hierarchy["version"]): void {
  const absent = (flags.until ?? []).map((type) => absentRequest(type, flags, version));
  const [first] = absent;
  if (first === undefined || absent.includes(undefined)) return;
  throw new OomkitError(
    `cannot wait for ${flags.until![0]} ${first}: no such event is reported`,
    "add that option, or wait for another event",
  );
}

async function watchTargets(targets: readonly string[], flags: WatchFlags): Promise<number> {
  const hierarchy = discover(flags.root);
  const cgroups = targets.length === 0
    ? [ownCgroup(hierarchy)]
    : targets.flatMap((target) => resolveTarget(hierarchy, target));
  const unique = [...new Map(cgroups.map((cgroup) => [cgroup.path, cgroup])).values()];
  const options = watchOptions(flags, unique);
  if (flags.recursive !== true) checkPercentages(options, unique);
  checkAwaited(flags, hierarchy.version);

  const session = await WatchSession.open(flags, hierarchy.version.number);
  // With receivers a slow reader of stdout must not delay them.
  const output = session.receivers.hasAny ? openQueuedOutput() : undefined;
  const seen = new Set<EventType>();
  const until = new Set(flags.until);
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const json = wantsJson(flags);
  const style = chooseStyle(flags.color);
  const textOf = eventTextFor(Deno.stdout);
  let live: Live | undefined;
  const emit = (event: OomkitEvent) => {
    seen.add(event.type);
    if (!live?.show(event)) printEvent(json ? toJson(event) : textOf(event, style), event);
    if (until.has(event.type)) end();
  };

  // Before the start is announced: a signal after the announcement must lead to a summary.
  const isOnTerminal = Deno.stdin.isTerminal();
  const offSignals = onSignals(ENDING, (signal) => {
    if (signal === "SIGHUP" && !isOnTerminal && flags.logFile) session.receivers.reopen();
    else end();
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    if (shouldDrawLive(flags, json ? "the output is JSON" : undefined)) {
      const { openWatchLive } = await import("../live/live.ts");
      live = openWatchLive({ flags, end }, options.thresholds, () => session.watching);
    }
    const watching = startWithProgress(session, options, emit, flags.quiet === true);
    watching.done.catch((error) => session.failure = error);
    if (!flags.quiet) {
      printStderr(
        `watching ${namesOf(unique, flags)} (cgroup v${hierarchy.version.number}): ` +
          watching.sources.join("; "),
      );
    }
    if (flags.for !== undefined) timer = setTimeout(end, flags.for);
    await Promise.race([watching.done, ended]);
    // Closed before the summary, so that the summary is printed below the view.
    await live?.close();
    await watching.stop();
  } finally {
    clearTimeout(timer);
    await live?.close();
    try {
      await session.close();
    } finally {
      await output?.close();
      offSignals();
    }
  }
  const isFailed = flags.failOn?.some((type) => seen.has(type)) ?? false;
  const isMissed = until.size > 0 && !seen.values().some((type) => until.has(type));
  return isFailed || isMissed ? 1 : 0;
}

/** Not awaited, so that no other output mixes with the progress line, and no view is drawn yet. */
function startWithProgress(
  session: WatchSession,
  options: WatchOptions,
  emit: (event: OomkitEvent) => void,
  isQuiet: boolean,
) {
  const progress = createProgress(isQuiet ? undefined : terminalOutput());
  const onTarget = (count: number) => progress.show(`arming, ${count} so far`);
  const watching = session.start({ ...options, onTarget }, emit);
  progress.end();
  return watching;
}

function namesOf(cgroups: readonly Cgroup[], { recursive }: WatchFlags): string {
  const names = cgroups.length === 1 ? printable(cgroups[0]!.path) : `${cgroups.length} cgroups`;
  return recursive ? `${names} and all descendants` : names;
}
