/** A guard's options that decide what it does with what it sees: those of `guard`, and of `simulate --replay`. */

import { SENDABLE } from "../../core/control/signal.ts";
import { OomkitError } from "../../core/errors.ts";
import type { Action } from "../../core/guard/policy.ts";
import { option, parsed } from "../options/option.ts";
import { parseDuration, parsePercent, parseSize } from "../options/units.ts";

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
export function parseShare(text: string): number {
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

export function parsePositive(text: string): number {
  const duration = parseDuration(text);
  if (duration > 0) return duration;
  throw new OomkitError(`"${text}" is too short`, "use a duration such as 10s");
}

const POLICIES = ["noop", "process", "container"] as const;
const MODES = ["auto", "notify", "throttle", "hold"] as const;

/** Each anew, since a command takes its options for its own. */
export const POLICY = {
  warn: () =>
    option("--warn <percent>", "where the first level begins").argParser(parsed(parseShare))
      .default(65, "65%"),
  critical: () =>
    option("--critical <percent>", "where the second level begins").argParser(parsed(parseShare))
      .default(90, "90%"),
  marginRatio: () =>
    option(
      "--margin-ratio <ratio>",
      "how far below the limit the threshold lies (0.02; 0.05 behind a throttle)",
    )
      .argParser(parsed(parseRatio)),
  minMargin: () =>
    option("--min-margin <size>", "but no less than this (1M; 3M)").argParser(parsed(parseMargin)),
  maxMargin: () =>
    option("--max-margin <size>", "and no more than this (30M; 512M)").argParser(
      parsed(parseMargin),
    ),
  metric: () =>
    option("--metric <what>", "what counts: usage, or the working set as the kubelet has it")
      .choices(["usage", "working-set"] as const).default("usage" as const),
  onWarn: () =>
    option("--on-warn <actions>", "noop, signal[:SIG], reclaim, process, container, exec:COMMAND")
      .argParser(parseActions("SIGUSR1")),
  onCritical: () =>
    option("--on-critical <actions>", "the same at the second level").argParser(
      parseActions("SIGUSR2"),
    ),
  onImminent: () =>
    option("--on-imminent <actions>", "the same at the last level").argParser(
      parseActions("SIGTERM"),
    ),
  policy: () => option("--policy <action>", "short for --on-imminent").choices(POLICIES),
  gracePeriod: () =>
    option("--grace-period <duration>", "SIGTERM first, and SIGKILL this much later").argParser(
      parsed(parseDuration),
    )
      .default(0, "SIGKILL at once"),
  killTimeout: () =>
    option(
      "--kill-timeout <duration>",
      "how long a killed process may take to be gone, before the next one is taken",
    )
      .argParser(parsed(parsePositive)).default(500, "500ms"),
  reclaim: () =>
    option(
      "--no-reclaim",
      "leave page cache to the kernel instead of asking it back first",
    ),
  mode: () => option("--mode <mode>", "how to be in time").choices(MODES).default("auto" as const),
  hysteresis: () =>
    option("--hysteresis <percent>", "how far usage must fall before a level counts again")
      .argParser(parsed(parseShare)).default(5, "5%"),
  cooldown: () =>
    option("--cooldown <duration>", "between two times of a level").argParser(parsed(parseDuration))
      .default(10_000, "10s"),
  repeat: () =>
    option("--repeat", "act again each time the cooldown is over, while usage stays above"),
} as const;
