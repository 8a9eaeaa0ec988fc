/** The options that make up a guard's policy: those of `guard`, and of `simulate --replay`. */

import { OomkitError } from "../../core/errors.ts";
import { MODES } from "../../core/policy/levels.ts";
import {
  ACTION_KINDS,
  actionSyntax,
  actionWord,
  KILL_ACTIONS,
  parseActions,
  type SignalName,
} from "../../core/policy/actions.ts";
import { choice, flag, list, negated, value } from "../options/option.ts";
import { parseDuration, parsePercent, parsePositiveDuration, parseSize } from "../options/units.ts";

/** `65%`, or OOMHero's bare `65`. */
export function parseShare(text: string): number {
  const isBare = /^\d+(\.\d+)?$/.test(text.trim());
  const percent = parsePercent(isBare ? `${text.trim()}%` : text);
  if (isBare && percent > 0 && percent < 1) {
    const meant = Number((100 * percent).toFixed(6));
    throw new OomkitError(
      `"${text}" is below 1%`,
      `did you mean ${meant}%? else write ${percent}%`,
    );
  }
  if (percent > 0) return percent;
  throw new OomkitError(`"${text}" is out of range`, "use 1% to 100%");
}

function parseRatio(text: string): number {
  const ratio = text.trim().endsWith("%") ? parsePercent(text) / 100 : Number(text.trim() || NaN);
  if (ratio > 0 && ratio < 1) return ratio;
  throw new OomkitError(
    `"${text}" is not a ratio`,
    ratio > 1 && ratio < 100 && !text.includes("%")
      ? `did you mean ${text.trim()}%?`
      : "use a share of the limit such as 0.02 or 2%",
  );
}

/** `1M`; a bare number is in MiB, as with oom-guard. */
function parseMargin(text: string): number {
  return parseSize(/^\d+(\.\d+)?$/.test(text.trim()) ? `${text.trim()}M` : text);
}

const SWAP_WORDS = ["count", "ignore"] as const;
type Swap = (typeof SWAP_WORDS)[number] | number;

function parseSwap(text: string): Swap {
  const word = SWAP_WORDS.find((word) => word === text);
  if (word) return word;
  if (/%$/.test(text.trim())) return parsePercent(text);
  throw new OomkitError(
    `"${text}" is not a way to count swap`,
    "use count, ignore, or a percentage such as 90%",
  );
}

const LEVELS = { group: "levels", inRules: true } as const;
const BASIC_LEVELS = { ...LEVELS, isBasic: true } as const;
const ACTIONS = (defaultSignal: SignalName) => ({
  words: ACTION_KINDS.map(actionWord),
  parse: (text: string) => parseActions(text, defaultSignal),
});
const VICTIMS = { group: "victims", inRules: true } as const;

export const POLICY_OPTIONS = {
  policy: choice(
    "--policy <action>",
    `short for --on-imminent: ${KILL_ACTIONS.join(", ")} or noop`,
    { ...BASIC_LEVELS, choices: ["noop", ...KILL_ACTIONS] },
  ),
  onWarn: list(
    "--on-warn <actions>",
    `actions at the warn level: ${ACTION_KINDS.map(actionSyntax).join(", ")}`,
    { ...BASIC_LEVELS, ...ACTIONS("SIGUSR1") },
  ),
  onCritical: list(
    "--on-critical <actions>",
    "actions at the critical level, as for --on-warn",
    { ...BASIC_LEVELS, ...ACTIONS("SIGUSR2") },
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
    { ...LEVELS, ...ACTIONS("SIGTERM") },
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
    "memory compared with the levels: usage, the working-set as the kubelet computes it, or auto: usage where there is an action",
    { ...LEVELS, choices: ["auto", "usage", "working-set"], default: ["auto", "auto"] },
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
  reclaim: negated("--no-reclaim", "do not reclaim memory before a kill", VICTIMS),
  swap: value(
    "--swap <how>",
    "count: kill nothing while there is swap left; a percentage: while less of it is used; ignore: kill at the level all the same",
    { ...LEVELS, words: SWAP_WORDS, parse: parseSwap, default: ["count" as Swap, "count"] },
  ),
  mode: choice(
    "--mode <mode>",
    "notify, throttle (v2), hold or hold-near-limit (v1), or auto",
    {
      group: "mode",
      inRules: true,
      isBasic: true,
      choices: ["auto", ...MODES],
      default: ["auto", "auto"],
    },
  ),
};
