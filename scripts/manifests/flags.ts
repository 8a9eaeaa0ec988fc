/** Whether the program knows what the manifests tell it. */

import type { Option } from "@commander-js/extra-typings";
import { guardBase } from "../../cli/guard/options.ts";
import { inspectCommand } from "../../cli/inspect/command.ts";
import { simulateBase } from "../../cli/simulate/options.ts";
import { watchBase } from "../../cli/watch/options.ts";
import type { Json } from "./kustomize.ts";

/** By command. */
const options: Readonly<Record<string, readonly Option[]>> = {
  guard: guardBase().options,
  watch: watchBase().options,
  simulate: simulateBase().options,
  inspect: inspectCommand(() => {}).options,
};

/** Those of OOMHero, and the node's name. */
const VARIABLES = /^((WARNING|CRITICAL)(_SIGNAL)?|COOLDOWN|NODE_NAME)$/;

/** @returns one line for each word that oomkit is started with and each variable that it does not know. */
export function flagOffences(container: Json): string[] {
  return [commandLine(container), ...probeLines(container)].flatMap((line) =>
    line === undefined ? [] : lineOffences(line, container)
  );
}

/** The arguments of oomkit; `undefined` where another program is started. */
const commandLine = ({ command, args = [] }: Json): string[] | undefined =>
  command === undefined ? args : undefined;

function probeLines(container: Json): string[][] {
  return ["startupProbe", "readinessProbe", "livenessProbe"].flatMap((probe) => {
    const [program, ...words] = container[probe]?.exec?.command ?? [];
    return program === "/oomkit" ? [words] : [];
  });
}

function lineOffences([command = "", ...words]: readonly string[], { name, env = [] }: Json) {
  const known = options[command];
  if (known === undefined) return [`${name}: oomkit has no command "${command}"`];
  const variables = env.map((each: Json) => each.name).filter((variable: string) =>
    !VARIABLES.test(variable) && !known.some(({ envVar }) => envVar === variable)
  ).map((variable: string) => `${name}: ${command} reads no variable ${variable}`);
  return [...wordOffences(command, words).map((each) => `${name}: ${each}`), ...variables];
}

/** Also of a command line in a document, or in a CI example. */
export function wordOffences(command: string, words: readonly string[]): string[] {
  return readWords(command, words).offences;
}

/** What stands on a command line and is neither an option nor the value of one. */
export function targetsAmong(command: string, words: readonly string[]): string[] {
  return readWords(command, words).targets;
}

function readWords(command: string, words: readonly string[]) {
  const offences: string[] = [];
  const targets: string[] = [];
  for (let at = 0; at < words.length && words[at] !== "--"; at++) {
    const [flag, value] = words[at]!.split("=", 2) as [string, string?];
    if (!flag.startsWith("-")) {
      targets.push(words[at]!);
      continue;
    }
    const option = options[command]?.find(({ long, short }) => long === flag || short === flag);
    if (option === undefined) offences.push(`${command} has no option ${flag}`);
    else if (option.required && value === undefined) {
      at += 1;
      if (words[at] === undefined) offences.push(`${flag} needs a value`);
    }
  }
  return { offences, targets };
}

/** Of a table of the configuration file. */
export function keyOffences(command: string, keys: readonly string[]): string[] {
  const known = options[command] ?? [];
  const others = command === "guard" ? ["rule", "targets"] : ["targets"];
  return keys.filter((key) =>
    !others.includes(key) && !known.some(({ long }) => long === `--${key}`)
  ).map((key) => `[${command}] has no key ${key}`);
}
