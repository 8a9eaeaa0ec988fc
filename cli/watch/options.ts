/** The options of `watch`, one row each. */

import type { PressureLevel, PressureMode, PsiTrigger } from "../../core/cgroup/version.ts";
import { OomkitError } from "../../core/errors.ts";
import { type EventType, WATCH_EVENT_TYPES } from "../../core/events/event.ts";
import {
  choice,
  flag,
  type FlagsOf,
  list,
  oneOf,
  separated,
  value,
  withHelp,
} from "../options/option.ts";
import {
  checkRequiredOptions,
  DEFAULT_EVENT_TYPES,
  RECEIVER_OPTIONS,
} from "../options/receivers.ts";
import {
  CI_SERVICES,
  type Common,
  LIVE_OPTIONS,
  replayOption,
  subcommand,
} from "../options/subcommand.ts";
import { parseDuration, parseLimitSize, parseSizeOrPercent } from "../options/units.ts";
import { SUMMARIES } from "../summaries.ts";

const PRESSURE_LEVELS: readonly PressureLevel[] = ["low", "medium", "critical"];
const PRESSURE_MODES: readonly PressureMode[] = ["default", "local", "hierarchy"];

/** `medium` or `medium:hierarchy`. */
export function parsePressureLevel(text: string): { level: PressureLevel; mode: PressureMode } {
  const [level = "", mode = "default"] = text.split(":");
  return { level: oneOf(PRESSURE_LEVELS)(level), mode: oneOf(PRESSURE_MODES)(mode) };
}

/** `some:150ms/1s`: a stall of 150 ms within one second. The kernel accepts windows of 0.5 to 10 s. */
export function parsePsi(text: string): PsiTrigger {
  const [, kind, stall, window] = /^(some|full):([^/]+)\/([^/]+)$/.exec(text) ?? [];
  if (kind === undefined) {
    throw new OomkitError(
      `cannot read PSI trigger "${text}"`,
      "write some:150ms/1s or full:50ms/2s",
    );
  }
  const micros = { stall: parseDuration(stall!) * 1000, window: parseDuration(window!) * 1000 };
  if (micros.window < 500_000 || micros.window > 10_000_000) {
    throw new OomkitError(`cannot use PSI window "${window}"`, "the kernel accepts 500ms to 10s");
  }
  if (micros.stall <= 0 || micros.stall > micros.window) {
    throw new OomkitError(
      `cannot use PSI stall "${stall}"`,
      `it must be above 0 and at most ${window}`,
    );
  }
  return { kind: kind as "some" | "full", ...micros };
}

/** A shorter interval only burns CPU: a JavaScript timer is about 1.2 ms late. */
const MIN_POLL_MS = 5;

function parsePoll(text: string): number {
  const poll = parseDuration(text);
  if (poll >= MIN_POLL_MS) return poll;
  throw new OomkitError(`cannot poll every "${text}"`, `it must be at least ${MIN_POLL_MS}ms`);
}

/** Below this, the shell that executes the command could not start. */
const MIN_LIMIT_BYTES = 1024 ** 2;

function parseLimit(text: string): number {
  const limit = parseLimitSize(text);
  if (limit >= MIN_LIMIT_BYTES) return limit;
  throw new OomkitError(`cannot limit a command to "${text}"`, "it must be at least 1M");
}

const parseTypes = separated<EventType>(oneOf(WATCH_EVENT_TYPES));

const EVENTS = { group: "events", isBasic: true } as const;
const EXPECTATION = { group: "expectation", isBasic: true } as const;
const COMMAND = { group: "command" } as const;

const WATCH_OPTIONS = {
  ...RECEIVER_OPTIONS,
  // Those of guard are accepted too, because a variable serves both commands.
  eventTypes: {
    ...RECEIVER_OPTIONS.eventTypes,
    words: WATCH_EVENT_TYPES,
    default: [
      undefined,
      DEFAULT_EVENT_TYPES.filter((type) => WATCH_EVENT_TYPES.includes(type)).join(","),
    ] as const,
  },
  recursive: flag("-r, --recursive", "watch all descendants of the targets too", {
    group: "targets",
    isBasic: true,
  }),
  threshold: list("--threshold <list>", "report when usage crosses these, such as 65%,90%,480M", {
    ...EVENTS,
    parse: separated(parseSizeOrPercent),
  }),
  pressure: list(
    "--pressure <pressures>",
    "report these v1 pressure levels, such as low,medium:local,critical:hierarchy",
    { ...EVENTS, words: PRESSURE_LEVELS, parse: separated(parsePressureLevel) },
  ),
  psi: list("--psi <list>", "report these v2 memory stalls, such as some:150ms/1s,full:50ms/2s", {
    ...EVENTS,
    parse: separated(parsePsi),
  }),
  poll: value(
    "--poll <duration>",
    "poll at this interval, at least 5ms, instead of waiting for notifications",
    { group: "events", parse: parsePoll },
  ),
  for: value("--for <duration>", "stop after this time", { ...EXPECTATION, parse: parseDuration }),
  until: list(
    "--until <types>",
    "stop at the first event of these types (with --for: exit 1 without one)",
    { ...EXPECTATION, words: WATCH_EVENT_TYPES, parse: parseTypes },
  ),
  failOn: list(
    "--fail-on <types>",
    "exit 1 if an event of these types occurred (with a command: if it exits with 0)",
    {
      ...EXPECTATION,
      words: WATCH_EVENT_TYPES,
      parse: parseTypes,
    },
  ),
  limit: value("--limit <size>", "memory limit of the command's cgroup", {
    ...COMMAND,
    isBasic: true,
    parse: parseLimit,
  }),
  limitOptional: flag(
    "--limit-optional",
    "run the command without the limit, with a warning, where no cgroup can be made",
    COMMAND,
  ),
  report: value(
    "--report <file>",
    "write the verdict on the command to this file, as JSON",
    COMMAND,
  ),
  junit: value("--junit <file>", "write the verdict to this file as JUnit XML", COMMAND),
  annotate: choice(
    "--annotate <service>",
    "print the verdict as an annotation of this CI service, on stderr",
    { ...COMMAND, choices: CI_SERVICES },
  ),
  replay: replayOption("scroll through a recording in the live view", "recording"),
  ...LIVE_OPTIONS,
  quiet: flag(
    "-q, --quiet",
    "print events only: no start line, and no verdict on a command that was fine",
    { group: "output" },
  ),
};

export type WatchFlags = Common & FlagsOf<typeof WATCH_OPTIONS>;

export function watchBase() {
  const command = subcommand(
    "watch",
    SUMMARIES.watch.description,
    WATCH_OPTIONS,
  ).hook("preAction", (_, self) => checkRequiredOptions(self));
  return withHelp(command, {
    examples: [
      "oomkit watch my.service --threshold 80%,95%",
      "oomkit watch -r /kubepods --json --log-file /var/log/oomkit.jsonl",
      "oomkit watch --limit 512M --fail-on oom_kill -- make",
    ],
    notes: NOTES,
    exitStatus: {
      "0": "the watch ended",
      "1": "an event of --fail-on occurred, or no event of --until",
      "2": "the watch could not start or go on, or the command could not be limited",
      "125": "the command could not be moved to its cgroup",
      "126": "the command cannot be executed",
      "127": "the command does not exist",
      "other": "that of the command, if it is not 0; 128 + N if signal N ended it",
    },
  });
}

const NOTES = `Targets: a cgroup path, a directory, a glob ('/kubepods/**'), pid:N, unit:NAME,
pod:UID, a container id or a prefix of it, a runc name. The watch ends when all
targets are removed, on Ctrl-C, or by --for and --until.

In the live view, ? lists the keys. --replay shows a recording in it.

Event types: ${WATCH_EVENT_TYPES.slice(0, 7).join(" ")}
${WATCH_EVENT_TYPES.slice(7).join(" ")}

In CI: --annotate github shows the verdict on the page of the run, gitlab as a
section of the job's log; on stderr, because stdout belongs to the command.`;
