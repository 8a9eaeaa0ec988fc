/** The options that make up a guard's policy: those of `guard`, and of `simulate --replay`. */

import { SENDABLE } from "../../core/control/signal.ts";
import { OomkitError } from "../../core/errors.ts";
import type { Action } from "../../core/guard/policy.ts";
import { choice, flag, list, negated, value } from "../options/option.ts";
import { parseDuration, parsePercent, parsePositiveDuration, parseSize } from "../options/units.ts";

const PLAIN = ["noop", "reclaim", "process", "container"] as const;

/** `noop`, `signal`, `signal:SIGUSR1`, `reclaim`, `process`, `container`, `exec:COMMAND`. */
export function parseAction(text: string, signal: Deno.Signal): Action {
  const [kind = "", rest] = splitOnce(text.trim(), ":");
  if (kind === "exec" && rest) return { kind, command: rest };
  if (kind === "signal") return { kind, signal: rest === undefined ? signal : parseSignal(rest) };
  const plain = PLAIN.find((each) => each === kind);
  if (plain && rest === undefined) return { kind: plain };
  throw new OomkitError(
    `"${text}" is not an action`,
    "use noop, signal:SIGUSR1, reclaim, process, container or exec:COMMAND",
  );
}

/** A comma-separated list; an exec command may contain commas, so it takes the rest. */
const parseActions = (signal: Deno.Signal) => (text: string): Action[] => {
  const found: Action[] = [];
  for (let rest: string | undefined = text; rest !== undefined;) {
    const [item, more]: readonly [string, string?] = /^\s*exec:/.test(rest)
      ? [rest]
      : splitOnce(rest, ",");
    found.push(parseAction(item, signal));
    rest = more;
  }
  return found;
};

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
  throw new OomkitError(`"${text}" is not a ratio`, "use a share of the limit such as 0.02 or 2%");
}

/** `1M`; a bare number is in MiB, as with oom-guard. */
function parseMargin(text: string): number {
  return parseSize(/^\d+(\.\d+)?$/.test(text.trim()) ? `${text.trim()}M` : text);
}

/** What completions offer; the command follows the colon. */
const ACTION_WORDS = ["noop", "signal", "reclaim", "process", "container", "exec:"];

const LEVELS = { group: "levels", inRules: true } as const;
const BASIC_LEVELS = { ...LEVELS, isBasic: true } as const;
const VICTIMS = { group: "victims", inRules: true } as const;

export const POLICY_OPTIONS = {
  policy: choice("--policy <action>", "imminent-level action: process, container or noop", {
    ...BASIC_LEVELS,
    choices: ["noop", "process", "container"],
  }),
  onCritical: list(
    "--on-critical <actions>",
    "actions at the critical level, as for --on-warn",
    { ...BASIC_LEVELS, words: ACTION_WORDS, parse: parseActions("SIGUSR2") },
  ),
  onWarn: list(
    "--on-warn <actions>",
    "actions at the warn level: noop, signal[:SIG], reclaim, process, container, exec:COMMAND",
    { ...BASIC_LEVELS, words: ACTION_WORDS, parse: parseActions("SIGUSR1") },
  ),
  warn: value("--warn <percent>", "usage at which warn begins", {
    ...BASIC_LEVELS,
    parse: parseShare,
    default: [65, "65%"],
  }),
  critical: value("--critical <percent>", "usage at which critical begins", {
    ...BASIC_LEVELS,
    parse: parseShare,
    default: [90, "90%"],
  }),
  onImminent: list(
    "--on-imminent <actions>",
    "actions at the imminent level, as for --on-warn",
    { ...LEVELS, words: ACTION_WORDS, parse: parseActions("SIGTERM") },
  ),
  marginRatio: value(
    "--margin-ratio <ratio>",
    "margin between the imminent level and the limit, as a share of the limit (default: 0.02; 0.05 in throttle mode)",
    { ...LEVELS, parse: parseRatio },
  ),
  minMargin: value("--min-margin <size>", "minimum margin (default: 1M; 3M in throttle mode)", {
    ...LEVELS,
    parse: parseMargin,
  }),
  maxMargin: value("--max-margin <size>", "maximum margin (default: 30M; 512M in throttle mode)", {
    ...LEVELS,
    parse: parseMargin,
  }),
  metric: choice(
    "--metric <what>",
    "memory compared with the levels: usage, or the working-set as the kubelet computes it",
    { ...LEVELS, choices: ["usage", "working-set"], default: ["usage", "usage"] },
  ),
  hysteresis: value(
    "--hysteresis <percent>",
    "drop in usage after which a level can trigger again",
    { ...LEVELS, parse: parseShare, default: [5, "5%"] },
  ),
  cooldown: value("--cooldown <duration>", "minimum time between two actions at a level", {
    ...LEVELS,
    parse: parseDuration,
    default: [10_000, "10s"],
  }),
  repeat: flag(
    "--repeat",
    "act again after each cooldown while usage stays above the level",
    LEVELS,
  ),
  gracePeriod: value("--grace-period <duration>", "time from SIGTERM to SIGKILL", {
    ...VICTIMS,
    isBasic: true,
    parse: parseDuration,
    default: [0, "no SIGTERM"],
  }),
  killTimeout: value(
    "--kill-timeout <duration>",
    "time for a killed process to exit before the next victim is killed",
    { ...VICTIMS, parse: parsePositiveDuration, default: [500, "500ms"] },
  ),
  reclaim: negated("--no-reclaim", "do not reclaim page cache before a kill", VICTIMS),
  mode: choice(
    "--mode <mode>",
    "way to gain time near the limit: notify, throttle (v2), hold (v1) or auto",
    {
      group: "mode",
      inRules: true,
      isBasic: true,
      choices: ["auto", "notify", "throttle", "hold"],
      default: ["auto", "auto"],
    },
  ),
};
