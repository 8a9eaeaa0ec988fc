/** The options of `guard`, one row each. */

import { OomkitError } from "../../core/errors.ts";
import { EVENT_TYPES } from "../../core/events/event.ts";
import {
  choice,
  flag,
  type FlagsOf,
  list,
  oneOf,
  type OptionRow,
  parseWhole,
  separated,
  single,
  value,
  withHelp,
} from "../options/option.ts";
import { checkRequiredOptions, RECEIVER_OPTIONS } from "../options/receivers.ts";
import { type Common, LIVE_OPTIONS, subcommand } from "../options/subcommand.ts";
import { VICTIM_ORDERS } from "../../core/policy/victim_order.ts";
import type { PressureCondition } from "../../core/policy/pressure_window.ts";
import { parseDuration, parsePercent, parsePositiveDuration } from "../options/units.ts";
import { POLICY_OPTIONS } from "./policy_options.ts";
import { SUMMARIES } from "../summaries.ts";

function parseExpression(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch (error) {
    const why = (error as Error).message.replace(/^Invalid regular expression: /, "");
    throw new OomkitError(
      `cannot read the expression: ${why}`,
      "escape special characters, such as \\(",
    );
  }
}

function parsePressure(text: string): PressureCondition {
  const [, kind, share, window] = /^(some|full):(.+)\/(.+)$/.exec(text.trim()) ?? [];
  if (kind === undefined) {
    throw new OomkitError(`"${text}" is not a pressure`, "use full or some, such as full:10%/10s");
  }
  const [percent, ms] = [parsePercent(share!), parsePositiveDuration(window!)];
  if (percent > 0 && ms >= 1000) return { kind: kind as "some", share: percent / 100, window: ms };
  throw new OomkitError(`"${text}" is out of range`, "use more than 0% of at least 1s");
}

function parseName(text: string): string {
  if (text !== "" && !/[\s/]/.test(text)) return text;
  throw new OomkitError(
    `"${text}" is not the name of a program`,
    "write it without directory and arguments, such as postgres",
  );
}

/** oom-guard's port for metrics; 0 is none. */
function parsePort(text: string): number {
  const port = parseWhole(0)(text);
  if (port < 65536) return port;
  throw new OomkitError(`"${text}" is not a port`, "use 1 to 65535, or 0 for none");
}

const MODE = { group: "mode" } as const;
const VICTIMS = { group: "victims", inRules: true } as const;
/** The group of a hidden option does not matter. */
const OOM_GUARD = { group: "general", isHidden: true } as const;

const GUARD_OPTIONS = {
  ...RECEIVER_OPTIONS,
  recursive: flag("-r, --recursive", "guard all descendants of the targets too", {
    group: "targets",
    isBasic: true,
  }),
  machine: flag(
    "--machine",
    "guard the machine: MemTotal is the limit, MemTotal less MemAvailable the usage (same as the target /)",
    { group: "targets" },
  ),
  pod: flag("--pod", "guard the containers of this pod (needs a shared process namespace)", {
    group: "targets",
  }),
  softLimit: flag(
    "--soft-limit",
    "guard soft limits too (v1 memory.soft_limit_in_bytes, v2 memory.high)",
    { group: "targets", inRules: true },
  ),
  prefer: list("--prefer <regex>", "kill matching command lines or cgroups first", {
    ...VICTIMS,
    isBasic: true,
    parse: single(parseExpression),
  }),
  avoid: list("--avoid <regex>", "kill matching command lines or cgroups last", {
    ...VICTIMS,
    isBasic: true,
    parse: single(parseExpression),
  }),
  ignore: list("--ignore <regex>", "never kill matching command lines or cgroups", {
    ...VICTIMS,
    parse: single(parseExpression),
  }),
  match: choice(
    "--match <what>",
    "what --prefer, --avoid and --ignore match: the command line or the cgroup, or only the name (comm) of the process",
    { ...VICTIMS, choices: ["command-line", "name"], default: ["command-line", "command-line"] },
  ),
  victimOrder: choice(
    "--victim-order <order>",
    "order of victims: the kernel's badness, or cgroups first by pages scanned for reclaim (pgscan, v2), memory pressure (pressure, v2), use of swap, or growth in the last minute",
    { ...VICTIMS, choices: VICTIM_ORDERS, default: ["badness", "badness"] },
  ),
  essentials: list(
    "--essentials <names>",
    "programs that are never killed for the machine, separated by commas (default: those of docs/machine.md, which the word default stands for)",
    { ...VICTIMS, parse: separated(parseName) },
  ),
  psi: value(
    "--psi <pressure>",
    "for the machine: kill below the imminent level only after this share of stall, such as full:10%/10s",
    { group: "levels", inRules: true, parse: parsePressure },
  ),
  ...POLICY_OPTIONS,
  explain: flag("--explain", "print the victim order and what decides it", {
    group: "victims",
    isBasic: true,
  }),
  dryRun: flag("--dry-run", "evaluate and report, but do not signal, kill or write", {
    ...MODE,
    isBasic: true,
    isNotInFile: true,
  }),
  for: value("--for <duration>", "stop after this time", { ...MODE, parse: parseDuration }),
  holdTimeout: value(
    "--hold-timeout <duration>",
    "maximum time that allocators wait without the OOM killer",
    { ...MODE, parse: parsePositiveDuration, default: [1000, "1s"] },
  ),
  hookTimeout: value("--hook-timeout <duration>", "maximum run time of an exec: action", {
    ...MODE,
    parse: parsePositiveDuration,
    default: [10_000, "10s"],
  }),
  poll: value(
    "--poll <duration>",
    "poll at this interval instead of waiting for notifications",
    { ...MODE, inRules: true, parse: parsePositiveDuration },
  ),
  rescanInterval: value(
    "--rescan-interval <duration>",
    "interval between full scans for new cgroups",
    { ...MODE, parse: parsePositiveDuration, default: [277_000, "277s"] },
  ),
  rearmInterval: value(
    "--rearm-interval <duration>",
    "interval at which all notifications are set up again",
    { ...MODE, parse: parsePositiveDuration, default: [701_000, "701s"] },
  ),
  ...LIVE_OPTIONS,
  quiet: flag("-q, --quiet", "print events only: no start line and no progress", {
    group: "output",
  }),
  eventFormat: choice(
    "--event-format <format>",
    "oomkit events, or one line per kill as oom-guard prints it",
    { group: "output", choices: ["oomkit", "oom-guard"], default: ["oomkit", "oomkit"] },
  ),
  checkConfig: flag("--check-config", "print the effective configuration and exit", {
    group: "general",
    isNotInFile: true,
  }),
  as: choice("--as <program>", "read the options on the command line as earlyoom's", {
    group: "general",
    choices: ["earlyoom"],
    isNotInFile: true,
  }),
  restore: flag("--restore", "restore settings left by a guard that was killed, and exit", {
    group: "general",
    isNotInFile: true,
  }),
  walkIntervalSeconds: value(
    "--walkIntervalSeconds <n>",
    "oom-guard's --rescan-interval, in seconds",
    { ...OOM_GUARD, parse: parseWhole(1) },
  ),
  inotifyResetSeconds: value(
    "--inotifyResetSeconds <n>",
    "oom-guard's --rearm-interval, in seconds",
    { ...OOM_GUARD, parse: parseWhole(1) },
  ),
  guardMs: value("--guard-ms <n>", "oom-guard's --kill-timeout, in milliseconds", {
    ...OOM_GUARD,
    parse: parseWhole(1),
  }),
  openSoftLimit: value("--openSoftLimit [yes]", "oom-guard's --soft-limit", {
    ...OOM_GUARD,
    parse: oneOf(["true", "false"]),
  }) as OptionRow<"true" | "false" | true | undefined>,
  v: value("--v <n>", "oom-guard's log level, ignored", OOM_GUARD),
  logtostderr: value("--logtostderr [yes]", "oom-guard's choice of log, ignored", OOM_GUARD),
  port: value("--port <n>", "oom-guard's --listen, for this machine only; 0 disables it", {
    ...OOM_GUARD,
    parse: parsePort,
  }),
};

export type GuardFlags = Common & FlagsOf<typeof GUARD_OPTIONS>;

export function guardBase() {
  const command = subcommand("guard", SUMMARIES.guard.description, GUARD_OPTIONS)
    .hook("preAction", (_, self) => checkRequiredOptions(self));
  return withHelp(command, {
    examples: [
      "oomkit guard -r /kubepods --policy process --avoid postgres",
      "oomkit guard pid:4242 --on-warn signal --on-critical signal,reclaim",
      "oomkit guard my.service --policy container --grace-period 5s --dry-run",
    ],
    notes: NOTES,
    exitStatus: {
      "0": "the guard ended by a signal or by --for",
      "1": "an error ended the running guard; a service manager should restart it",
      "2": "the guard cannot do what the options request",
    },
  });
}

const NOTES = `Targets: a cgroup path, a directory, a glob ('/kubepods/**'), pid:N, unit:NAME,
pod:UID, a container id or a prefix of it, a runc name.

Levels: warn (65%), critical (90%), and imminent, a margin below the limit.
Without --policy, --on-... or, with --pod, a variable of OOMHero nothing is
signalled or killed. Signals of signal: SIGUSR1 at warn, SIGUSR2 at critical,
SIGTERM at imminent.

Modes: notify changes nothing. throttle (v2) sets memory.high at the imminent
level, so the kernel slows allocators down. hold (v1) disables the kernel's OOM
killer, so allocators wait at the limit; hold-near-limit does so from the
critical level on, or sooner when usage rises fast. All of it is undone whenever
the guard ends. auto, when a level kills: throttle (v2) or hold-near-limit (v1).

OOMHero's variables work unchanged in a shared process namespace (--pod):
WARNING, CRITICAL, WARNING_SIGNAL, CRITICAL_SIGNAL (each of them makes warn and
critical send signals), COOLDOWN. So do oom-guard's flags anywhere.

Event types: ${EVENT_TYPES.slice(0, 7).join(" ")}
${EVENT_TYPES.slice(7, 13).join(" ")}
${EVENT_TYPES.slice(13).join(" ")}

SIGHUP reads the configuration again and reopens --log-file.

In the live view, ? lists the keys.`;
