/** What `guard` takes, and what its words mean. */

import { SENDABLE } from "../core/act/signal_all.ts";
import { OomkitError } from "../core/errors.ts";
import type { Action } from "../core/guard/plan.ts";
import { asciiOption, liveOption, noLiveOption } from "./draw_options.ts";
import { oneOf, option, parsed, parseWhole, subcommand } from "./options.ts";
import { withReports } from "./report_options.ts";
import { parseDuration, parsePercent, parseSize } from "./units.ts";

const PLAIN = ["noop", "reclaim", "process", "container"] as const;

/** `noop`, `signal`, `signal:SIGUSR1`, `reclaim`, `process`, `container`, `exec:COMMAND`. */
export function parseAction(text: string, signal: Deno.Signal): Action {
  const [kind = "", rest] = splitOnce(text.trim(), ":");
  if (kind === "exec" && rest) return { kind, command: rest };
  if (kind === "signal") return { kind, signal: rest === undefined ? signal : parseSignal(rest) };
  const plain = PLAIN.find((each) => each === kind);
  if (plain && rest === undefined) return { kind: plain };
  throw new OomkitError(
    `"${text}" is no action`,
    "use noop, signal:SIGUSR1, reclaim, process, container or exec:COMMAND",
  );
}

/** A comma-separated list; a command has commas of its own, so that it takes the rest. */
function parseActions(signal: Deno.Signal) {
  return (text: string, before: readonly Action[] = []): Action[] => {
    const found: Action[] = [...before];
    for (let rest: string | undefined = text; rest !== undefined;) {
      const [item, more]: readonly [string, string?] = /^\s*exec:/.test(rest)
        ? [rest]
        : splitOnce(rest, ",");
      found.push(parsed((each) => parseAction(each, signal))(item));
      rest = more;
    }
    return found;
  };
}

function splitOnce(text: string, separator: string): readonly [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** `SIGUSR1`, `USR1`, `10`. */
export function parseSignal(text: string): Deno.Signal {
  const name = text.trim().toUpperCase();
  const found = SENDABLE.find((each) => each === name || each === `SIG${name}`);
  if (found !== undefined) return found;
  throw new OomkitError(`cannot send "${text}"`, `use one of ${SENDABLE.join(", ")}`);
}

/** `65%`, or OOMHero's bare `65`. */
function parseShare(text: string): number {
  const percent = parsePercent(/^\d+(\.\d+)?$/.test(text.trim()) ? `${text.trim()}%` : text);
  if (percent > 0) return percent;
  throw new OomkitError(`"${text}" is out of range`, "use 1% to 100%");
}

function parseRatio(text: string): number {
  const ratio = text.trim().endsWith("%") ? parsePercent(text) / 100 : Number(text.trim() || NaN);
  if (ratio > 0 && ratio < 1) return ratio;
  throw new OomkitError(`"${text}" is no ratio`, "use a share of the limit such as 0.02 or 2%");
}

/** `1M`; a bare number is oom-guard's, which counts in MiB. */
function parseMargin(text: string): number {
  return parseSize(/^\d+(\.\d+)?$/.test(text.trim()) ? `${text.trim()}M` : text);
}

function parseExpression(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch (error) {
    const why = (error as Error).message.replace(/^Invalid regular expression: /, "");
    throw new OomkitError(`cannot read the expression: ${why}`, "write a regular expression");
  }
}

function collected<T>(parse: (text: string) => T) {
  const one = parsed(parse);
  return (text: string, before: readonly T[] = []): T[] => [...before, one(text)];
}

function parsePositive(text: string): number {
  const duration = parseDuration(text);
  if (duration > 0) return duration;
  throw new OomkitError(`"${text}" is too short`, "use a duration such as 10s");
}

const POLICIES = ["noop", "process", "container"] as const;
const MODES = ["auto", "notify", "tripwire", "hold"] as const;

export function guardBase() {
  const flag = option;
  return withReports(subcommand("guard", "act before the kernel's OOM killer does"))
    .addOption(flag("-r, --recursive", "guard everything beneath the targets as well"))
    .addOption(liveOption).addOption(noLiveOption).addOption(asciiOption)
    .addOption(flag("--pod", "guard the containers of a pod with a shared process namespace"))
    .addOption(
      flag("--warn <percent>", "where the first level begins").argParser(parsed(parseShare))
        .default(65, "65%"),
    )
    .addOption(
      flag("--critical <percent>", "where the second level begins").argParser(parsed(parseShare))
        .default(90, "90%"),
    )
    .addOption(
      flag(
        "--margin-ratio <ratio>",
        "how far below the limit the threshold lies (0.02; 0.05 behind a tripwire)",
      )
        .argParser(parsed(parseRatio)),
    )
    .addOption(
      flag("--min-margin <size>", "but no less than this (1M; 3M)").argParser(parsed(parseMargin)),
    )
    .addOption(
      flag("--max-margin <size>", "and no more than this (30M; 512M)").argParser(
        parsed(parseMargin),
      ),
    )
    .addOption(
      flag("--base <what>", "what counts: usage, or the working set as the kubelet has it")
        .choices(["usage", "working-set"] as const).default("usage" as const),
    )
    .addOption(
      flag("--on-warn <actions>", "noop, signal[:SIG], reclaim, process, container, exec:COMMAND")
        .argParser(parseActions("SIGUSR1")),
    )
    .addOption(
      flag("--on-critical <actions>", "the same at the second level").argParser(
        parseActions("SIGUSR2"),
      ),
    )
    .addOption(
      flag("--on-threshold <actions>", "the same at the last level").argParser(
        parseActions("SIGTERM"),
      ),
    )
    .addOption(flag("--policy <action>", "short for --on-threshold").choices(POLICIES))
    .addOption(
      flag("--grace <duration>", "SIGTERM first, and SIGKILL this much later").argParser(
        parsed(parseDuration),
      )
        .default(0, "SIGKILL at once"),
    )
    .addOption(
      flag(
        "--patience <duration>",
        "how long a killed process may take to be gone, before the next one is taken",
      )
        .argParser(parsed(parsePositive)).default(500, "500ms"),
    )
    .addOption(
      flag(
        "--no-reclaim",
        "leave page cache to the kernel instead of asking it back first",
      ),
    )
    .addOption(flag("--mode <mode>", "how to be in time").choices(MODES).default("auto" as const))
    .addOption(
      flag("--prefer <regex>", "take these first: command line or cgroup path").argParser(
        collected(parseExpression),
      ),
    )
    .addOption(flag("--avoid <regex>", "take these last").argParser(collected(parseExpression)))
    .addOption(flag("--ignore <regex>", "never take these").argParser(collected(parseExpression)))
    .addOption(
      flag("--soft-limit", "guard soft limits too (v1 memory.soft_limit_in_bytes, v2 memory.high)"),
    )
    .addOption(
      flag("--hysteresis <percent>", "how far usage must fall before a level counts again")
        .argParser(parsed(parseShare)).default(5, "5%"),
    )
    .addOption(
      flag("--cooldown <duration>", "between two times of a level").argParser(parsed(parseDuration))
        .default(10_000, "10s"),
    )
    .addOption(
      flag("--repeat", "act again each time the cooldown is over, while usage stays above"),
    )
    .addOption(
      flag("--poll <duration>", "look at this pace instead of being notified").argParser(
        parsed(parsePositive),
      ),
    )
    .addOption(
      flag("--walk-every <duration>", "look for cgroups that nobody told of").argParser(
        parsed(parsePositive),
      ).default(277_000, "277s"),
    )
    .addOption(
      flag("--rearm-every <duration>", "arm everything afresh").argParser(parsed(parsePositive))
        .default(701_000, "701s"),
    )
    .addOption(
      flag("--hook-timeout <duration>", "how long exec: may take").argParser(parsed(parsePositive))
        .default(10_000, "10s"),
    )
    .addOption(
      flag("--hold-timeout <duration>", "how long allocators may wait under --mode hold").argParser(
        parsed(parsePositive),
      ).default(1000, "1s"),
    )
    .addOption(flag("--dry-run", "do everything but the deed"))
    .addOption(flag("--explain", "print who would be taken, with the values that decide"))
    .addOption(flag("--for <duration>", "end after this time").argParser(parsed(parseDuration)))
    .addOption(
      flag("--check-config", "print what the configuration comes to, and end"),
    )
    .addOption(flag("--release", "put back what guards have left, and end"))
    .addOption(
      flag("--event-format <format>", "oom-guard: one line for each kill, as oom-guard writes it")
        .choices(["oomkit", "oom-guard"] as const).default("oomkit" as const),
    )
    .addOption(
      flag("--walkIntervalSeconds <n>", "oom-guard's --walk-every").argParser(parsed(parseWhole(1)))
        .hideHelp(),
    )
    .addOption(
      flag("--inotifyResetSeconds <n>", "oom-guard's --rearm-every").argParser(
        parsed(parseWhole(1)),
      ).hideHelp(),
    )
    .addOption(
      flag("--guard-ms <n>", "oom-guard's --patience, in ms").argParser(parsed(parseWhole(1)))
        .hideHelp(),
    )
    .addOption(
      flag("--openSoftLimit [yes]", "oom-guard's --soft-limit").argParser(
        parsed(oneOf(["true", "false"])),
      ).hideHelp(),
    )
    .addOption(flag("--v <n>", "oom-guard's; there is one way to log").hideHelp())
    .addOption(
      flag("--logtostderr [yes]", "oom-guard's; there is one place to log to").hideHelp(),
    )
    .addOption(
      flag("--port <n>", "oom-guard's --listen on this machine alone; 0 is none").argParser(
        parsed(parsePort),
      )
        .hideHelp(),
    );
}

/** oom-guard serves on it; 0 is none. */
function parsePort(text: string): number {
  const port = parseWhole(0)(text);
  if (port < 65536) return port;
  throw new OomkitError(`"${text}" is no port`, "use 1 to 65535, or 0 for none");
}

export type GuardFlags = ReturnType<ReturnType<typeof guardBase>["opts"]>;
