/** `oomkit history`: what was OOM-killed on this machine, from the kernel log, the journal and saved logs. */

import { discover, type Hierarchy } from "../../core/cgroup/hierarchy.ts";
import { OomkitError } from "../../core/errors.ts";
import { type EventType, WATCH_EVENT_TYPES } from "../../core/events/event.ts";
import { toJson } from "../../core/events/json.ts";
import { type HistoryCheck, historyDocument } from "../../core/history/document.ts";
import { type History, MACHINE_LOGS, readHistory } from "../../core/history/history.ts";
import type { Grouping } from "../../core/history/kill_groups.ts";
import type { Gap, PastKill } from "../../core/history/log_kills.ts";
import { hasOtherPaths, killsOfTargets } from "../../core/history/target_kills.ts";
import { ERROR, type ExitCode, type Finish, NOT_OK, OK } from "../exit.ts";
import {
  type FlagsOf,
  list,
  oneOf,
  parseWhole,
  separated,
  single,
  value,
  withHelp,
} from "../options/option.ts";
import { type Common, subcommand, targetsOf, wantsJson } from "../options/subcommand.ts";
import { formatCount } from "../options/units.ts";
import { print, printable, printStderr } from "../output/output.ts";
import { SUMMARIES } from "../summaries.ts";
import { terminalWidth } from "../terminal/capabilities.ts";
import { chooseStyle } from "../terminal/palette.ts";
import { createProgress, terminalOutput } from "../terminal/progress.ts";
import { parseSince } from "./since.ts";
import { headline, historyLines, killText } from "./text.ts";

const GROUPINGS: readonly Grouping[] = ["owner", "container", "pod", "unit", "comm"];
/** What the kernel log shows. */
const LOGGED_TYPES: readonly EventType[] = ["oom_kill", "oom_group_kill"];
const DEFAULT_LATEST = 10;

const CONTENTS = { group: "contents", isBasic: true } as const;

const HISTORY_OPTIONS = {
  since: value(
    "--since <time>",
    "leave out kills before this, such as 24h, yesterday or 2026-11-30T08:00",
    {
      ...CONTENTS,
      parse: (text) => parseSince(text),
    },
  ),
  file: list(
    "--file <file>",
    "read this saved log, or stdin (-), instead of this machine's; may be .gz",
    { ...CONTENTS, parse: single(String) },
  ),
  source: list("--source <logs>", "read these logs of this machine: kmsg,journal (default: both)", {
    group: "contents",
    words: MACHINE_LOGS,
    isClosed: true,
    parse: separated(oneOf(MACHINE_LOGS)),
  }),
  by: list(
    "--by <groups>",
    "count kills by these: owner (of the limit), container, pod, unit, comm (default: all)",
    { group: "contents", words: GROUPINGS, isClosed: true, parse: separated(oneOf(GROUPINGS)) },
  ),
  latest: value("--latest <count>", "newest kills to list (default: 10; all in JSON)", {
    group: "contents",
    parse: parseWhole(0),
  }),
  failOn: list(
    "--fail-on <types>",
    "exit 1 if there was a kill of these types: oom_kill, oom_group_kill",
    {
      group: "expectation",
      isBasic: true,
      words: LOGGED_TYPES,
      // A variable serves watch too, with other types.
      parse: separated<EventType>(oneOf(WATCH_EVENT_TYPES)),
    },
  ),
};

type HistoryFlags = Common & FlagsOf<typeof HISTORY_OPTIONS>;

export function historyCommand(finish: Finish) {
  const command = subcommand("history", SUMMARIES.history.description, HISTORY_OPTIONS)
    .argument("[targets...]", "cgroups, also removed ones (default: the whole machine)");
  return withHelp(command, {
    examples: [
      "oomkit history --since 24h",
      "oomkit history /kubepods --since 24h --fail-on oom_kill",
      "oomkit history --file kern.log --file kern.log.1.gz",
    ],
    notes: NOTES,
    exitStatus: {
      "0": "the logs were read; with --fail-on: no kill of these types",
      "1": "a kill of --fail-on",
      "2": "a log cannot be read; with --fail-on: kills may be missing in the logs",
    },
  }).action(async (targets, flags, self) => {
    const isGiven = self.getOptionValueSource("failOn") === "cli";
    const unlogged = flags.failOn?.find((type) => !LOGGED_TYPES.includes(type));
    if (unlogged !== undefined && isGiven) {
      throw new OomkitError(
        `cannot use --fail-on ${unlogged}: the kernel log has only kills`,
        `use ${LOGGED_TYPES.join(" or ")}`,
      );
    }
    finish(await show(targetsOf(self, targets), flags));
  });
}

const NOTES = `Targets: a cgroup path, a glob ('/kubepods/**'), pid:N, unit:NAME, pod:UID, a
container id or a prefix of it. The cgroup may be gone: then the log has to name
it. pid:N is also the pid of a victim.

Files: the output of dmesg (with and without -T) and of journalctl (-o short,
-o json), kern.log, syslog and messages; compressed or not. --source kmsg with
--file reads both.

What the logs do not show is listed as "not seen". Kills by a guard, by
systemd-oomd and earlyoom are not in the kernel log.`;

async function show(targets: readonly string[], flags: HistoryFlags): Promise<ExitCode> {
  const { since, file: files = [], source, failOn } = flags;
  const machineLogs = source ?? (files.length > 0 ? [] : MACHINE_LOGS);
  const found = machineLogs.length > 0 ? tryDiscover(flags.root, targets) : undefined;
  const hierarchy = found && hasOtherPaths(found) ? undefined : found;
  const progress = createProgress(terminalOutput());
  const read = await readHistory({
    machineLogs,
    areNamed: source !== undefined,
    files,
    since,
    onLines: (log, lines) => progress.show(`reading ${log}, ${lines} lines so far`),
  }).finally(() => progress.end());
  const history = hierarchy === found ? read : withOtherPaths(read);
  for (const failure of history.failures) printStderr(`oomkit: ${printable(failure)}`);
  const kills = targets.length === 0
    ? history.kills
    : killsOfTargets(history.kills, targets, hierarchy);
  const types = failOn?.filter((type) => LOGGED_TYPES.includes(type)) ?? [];
  const check = types.length === 0
    ? undefined
    : checkOf(types, kills, history, since, targets.length > 0);
  if (wantsJson(flags)) {
    const facts = { at: Date.now(), since, targets, history, kills, check };
    print(toJson(historyDocument(facts), 2));
  } else {
    // A program that reads the text gets whole paths, and one line for each fact.
    const width = Deno.stdout.isTerminal() ? terminalWidth() : Infinity;
    const layout = { style: chooseStyle(flags.color), width };
    const shown = {
      history,
      kills,
      since,
      hasTargets: targets.length > 0,
      groupings: flags.by ?? GROUPINGS,
      latest: flags.latest ?? DEFAULT_LATEST,
    };
    const lines = historyLines(shown, layout);
    print((check ? [check.summary, "", ...lines] : lines).join("\n"));
  }
  if (check?.verdict === "not_ok") return NOT_OK;
  return check?.verdict === "unknown" || history.failures.length > 0 ? ERROR : OK;
}

const withOtherPaths = (history: History): History => ({
  ...history,
  mayMissKills: true,
  gaps: [...history.gaps, {
    reason: "other_paths",
    message: "in a cgroup namespace a path is another one than in the log: " +
      "name a container by its id, a pod or a pid",
  }],
});

/** Without cgroups here the targets are compared with the log alone. */
function tryDiscover(root: string | undefined, targets: readonly string[]): Hierarchy | undefined {
  if (targets.length === 0) return undefined;
  try {
    return discover(root);
  } catch (error) {
    if (error instanceof OomkitError && root === undefined) return undefined;
    throw error;
  }
}

function checkOf(
  types: readonly EventType[],
  kills: readonly PastKill[],
  history: History,
  since: number | undefined,
  hasTargets: boolean,
): HistoryCheck {
  const found = types.includes("oom_kill")
    ? kills
    : kills.filter(({ group }) => group !== undefined);
  const latest = found.at(-1);
  if (latest !== undefined) {
    const count = formatCount(found.length, "OOM kill");
    return { verdict: "not_ok", summary: `NOT OK: ${count}, the last: ${killText(latest)}` };
  }
  const { unloggedKills, failures, mayMissKills } = history;
  // The counter names neither a cgroup nor a group kill.
  if (unloggedKills > 0 && !hasTargets && since === undefined && types.includes("oom_kill")) {
    const count = formatCount(unloggedKills, "OOM kill");
    return {
      verdict: "not_ok",
      summary: `NOT OK: the kernel counted ${count} since boot, which no log names`,
    };
  }
  if (failures.length > 0) return { verdict: "unknown", summary: `UNKNOWN: ${failures[0]}` };
  if (mayMissKills) {
    return { verdict: "unknown", summary: `UNKNOWN: no OOM kill found, but ${doubtOf(history)}` };
  }
  return { verdict: "ok", summary: `OK: ${headline([], since)}` };
}

/** Why there may be kills that the logs do not have, the most telling first. */
const DOUBTS: readonly Gap["reason"][] = [
  "cut_lines",
  "lost_lines",
  "overwritten",
  "not_logged",
  "other_paths",
];

function doubtOf({ gaps }: History): string {
  const [gap] = DOUBTS.flatMap((doubt) => gaps.find(({ reason }) => reason === doubt) ?? []);
  if (gap === undefined) return "the logs do not reach back far enough";
  return printable(gap.source === undefined ? gap.message : `${gap.source}: ${gap.message}`);
}
