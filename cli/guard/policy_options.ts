/** A guard's options that decide what it does with what it sees: those of `guard`, and of `simulate --replay`. */

import { OomkitError } from "../../core/errors.ts";
import {
  type Action,
  ACTION_KINDS,
  actionSyntax,
  KILL_ACTIONS,
  parseActions,
  type SignalName,
} from "../../core/policy/actions.ts";
import { option, parsed } from "../options/option.ts";
import { parseDuration, parsePercent, parseSize } from "../options/units.ts";

/** A comma-separated list of actions; an option that is given again adds to it. */
function actionsOption(defaultSignal: SignalName) {
  const parse = parsed((text) => parseActions(text, defaultSignal));
  return (text: string, before: readonly Action[] = []): Action[] => [...before, ...parse(text)];
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

const POLICIES = ["noop", ...KILL_ACTIONS] as const;
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
    option("--on-warn <actions>", ACTION_KINDS.map(actionSyntax).join(", "))
      .argParser(actionsOption("SIGUSR1")),
  onCritical: () =>
    option("--on-critical <actions>", "the same at the second level").argParser(
      actionsOption("SIGUSR2"),
    ),
  onImminent: () =>
    option("--on-imminent <actions>", "the same at the last level").argParser(
      actionsOption("SIGTERM"),
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
