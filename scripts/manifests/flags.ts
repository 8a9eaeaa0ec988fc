/** Whether the program knows what the manifests tell it. */

import { guardBase } from "../../cli/guard/options.ts";
import { inspectCommand } from "../../cli/inspect/command.ts";
import { simulateBase } from "../../cli/simulate/options.ts";
import { watchBase } from "../../cli/watch/options.ts";
import type { Json } from "./kustomize.ts";

const commands = {
  guard: guardBase(),
  watch: watchBase(),
  simulate: simulateBase(),
  inspect: inspectCommand(() => {}),
};

interface Known {
  readonly names: readonly (string | undefined)[];
  readonly env: string | undefined;
  readonly takes: "nothing" | "maybe" | "one";
}

/** By command. */
export const options: Readonly<Record<string, readonly Known[]>> = Object.fromEntries(
  Object.entries(commands).map(([name, { options }]) => [
    name,
    options.map((each): Known => ({
      names: [each.long, each.short],
      env: each.envVar,
      takes: each.required ? "one" : each.optional ? "maybe" : "nothing",
    })),
  ]),
);

/** Those of OOMHero, and the node's name. */
const VARIABLES = [
  "WARNING",
  "CRITICAL",
  "WARNING_SIGNAL",
  "CRITICAL_SIGNAL",
  "COOLDOWN",
  "NODE_NAME",
];

/** @returns one line for each word of `args` and each variable that the command does not know. */
export function flagOffences({ name, args = [], env = [] }: Json): string[] {
  const [command, ...words] = args as string[];
  const known = options[command ?? ""];
  if (known === undefined) return [`${name}: oomkit has no command "${command}"`];
  const variables = env.filter((each: Json) =>
    !VARIABLES.includes(each.name) && !known.some((option) => option.env === each.name)
  ).map((each: Json) => `${name}: ${command} reads no variable ${each.name}`);
  return [...wordOffences(command!, words, known).map((each) => `${name}: ${each}`), ...variables];
}

/** Also of a command line in a document, or in a CI example. */
export function wordOffences(
  command: string,
  words: readonly string[],
  known: readonly Known[] = options[command] ?? [],
): string[] {
  return readWords(command, words, known).offences;
}

/** What stands on a command line and is neither an option nor the value of one. */
export function targetsAmong(command: string, words: readonly string[]): string[] {
  return readWords(command, words, options[command] ?? []).targets;
}

function readWords(command: string, words: readonly string[], known: readonly Known[]) {
  const offences: string[] = [];
  const targets: string[] = [];
  for (let at = 0; at < words.length && words[at] !== "--"; at++) {
    const [flag, value] = words[at]!.split("=", 2) as [string, string?];
    if (!flag.startsWith("-")) {
      targets.push(words[at]!);
      continue;
    }
    const option = known.find(({ names }) => names.includes(flag));
    if (option === undefined) offences.push(`${command} has no option ${flag}`);
    else if (option.takes === "one" && value === undefined) {
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
    !others.includes(key) && !known.some(({ names }) => names[0] === `--${key}`)
  ).map((key) => `[${command}] has no key ${key}`);
}
