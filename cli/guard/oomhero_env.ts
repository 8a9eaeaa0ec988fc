/** OOMHero's environment variables. They take precedence over the configuration file, not over rules, flags and OOMKIT_… */

import { OomkitError } from "../../core/errors.ts";
import { type Action, parseSignal } from "../../core/policy/actions.ts";
import { parseDuration } from "../options/units.ts";
import { printStderr } from "../output/output.ts";

export interface OomHeroEnv {
  /** Whether any variable that selects OOMHero's behaviour is set; COOLDOWN alone is not one. */
  readonly isUsed: boolean;
  readonly warn?: number;
  readonly critical?: number;
  readonly onWarn?: readonly Action[];
  readonly onCritical?: readonly Action[];
  /** OOMHero's actions when nothing sets them. */
  readonly defaultOnWarn?: readonly Action[];
  readonly defaultOnCritical?: readonly Action[];
  /** Milliseconds. */
  readonly cooldown?: number;
}

/** @param isOverridden whether something of higher precedence sets the option of this name */
export function oomHeroEnv(
  env: (name: string) => string | undefined,
  isOverridden: (option: string) => boolean,
): OomHeroEnv {
  const names = ["WARNING", "CRITICAL", "WARNING_SIGNAL", "CRITICAL_SIGNAL"];
  if (names.every((name) => env(name) === undefined)) return { isUsed: false };
  const read = <T>(name: string, option: string, parse: (text: string) => T | undefined) => {
    const text = env(name);
    if (text === undefined || isOverridden(option)) return {};
    const value = parse(text);
    return value === undefined ? {} : { [option]: value };
  };
  return {
    isUsed: true,
    ...read("WARNING", "warn", (text) => percentOf("WARNING", text)),
    ...read("CRITICAL", "critical", (text) => percentOf("CRITICAL", text)),
    defaultOnWarn: [{ kind: "signal", argument: "SIGUSR1" }],
    defaultOnCritical: [{ kind: "signal", argument: "SIGUSR2" }],
    ...read("WARNING_SIGNAL", "onWarn", (text) => signalOf("WARNING_SIGNAL", text)),
    ...read("CRITICAL_SIGNAL", "onCritical", (text) => signalOf("CRITICAL_SIGNAL", text)),
    ...read("COOLDOWN", "cooldown", (text) => naming("COOLDOWN", () => secondsOf(text))),
  };
}

function percentOf(name: string, text: string): number | undefined {
  const percent = /^\d+$/.test(text.trim()) ? Number(text) : NaN;
  if (percent >= 1 && percent <= 100) return percent;
  printStderr(`${name}="${text}" is not a percentage from 1 to 100; ignored, as by OOMHero`);
  return undefined;
}

const signalOf = (name: string, text: string): readonly Action[] => [
  { kind: "signal", argument: naming(name, () => parseSignal(text)) },
];

const secondsOf = (text: string) =>
  parseDuration(/^\d+$/.test(text.trim()) ? `${text.trim()}s` : text);

/** Adds the name of the variable to the error. */
function naming<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof OomkitError
      ? new OomkitError(`cannot use ${name}: ${error.message}`)
      : error;
  }
}
