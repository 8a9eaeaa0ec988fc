/** earlyoom's options (earlyoom(1), 1.8) as options of `guard`: `oomkit guard --as earlyoom -m 10 -s 10 --prefer java`. */

import { readMeminfo } from "../../core/cgroup/machine.ts";
import { OomkitError } from "../../core/errors.ts";
import type { Meminfo } from "../../core/parse/procfs.ts";
import { printable } from "../output/output.ts";

/** Whether the words of a command line are earlyoom's. */
export const isEarlyoom = (words: readonly string[]): boolean =>
  words.includes("--as=earlyoom") ||
  words.some((word, at) => word === "--as" && words[at + 1] === "earlyoom");

/** Percent of memory and of swap below which earlyoom sends SIGTERM. */
const DEFAULT_PERCENT = 10;
/** The most that earlyoom waits for a process to exit. */
const GRACE_PERIOD = "10s";

const WITH_VALUE = "msMSNPr";
/** earlyoom itself ignores -k and -i. */
const KNOWN = `${WITH_VALUE}ngpdvki`;

interface Parsed {
  /** By letter; of an option that is repeated the last one. */
  readonly values: ReadonlyMap<string, string>;
  /** Options of oomkit, and those that both have. */
  readonly rest: readonly string[];
}

/** As getopt(3): `-m 5`, `-m5`, `-nd`. */
function parse(words: readonly string[]): Parsed {
  const values = new Map<string, string>();
  const rest: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === "--as") at++;
    else if (word === "--as=earlyoom") continue;
    else if (word === "--policy") values.set("policy", words[++at] ?? "");
    else if (word.startsWith("--policy=")) values.set("policy", word.slice("--policy=".length));
    else if (word === "--dryrun") rest.push("--dry-run");
    else if (word === "--syslog") values.set("d", "");
    else if (!/^-[A-Za-z]/.test(word) || !KNOWN.includes(word[1]!)) rest.push(word);
    else {
      for (let letter = 1; letter < word.length; letter++) {
        const name = word[letter]!;
        if (!KNOWN.includes(name)) throw unknown(`-${name}`);
        if (!WITH_VALUE.includes(name)) values.set(name, "");
        else {
          const value = word.slice(letter + 1) || words[++at];
          if (value === undefined) throw refusal(`-${name}`, "its value is missing");
          values.set(name, value);
          break;
        }
      }
    }
  }
  return { values, rest };
}

/** Of POSIX, which a regular expression of JavaScript does not know: it would match other names. */
const POSIX_CLASS = /\[[^\]]*\[[:.=]/;

/** A shell leaves the quotes in the value of EARLYOOM_ARGS; systemd takes them away. */
function withoutQuotes(word: string): string {
  const [, option = "", quote, text] = /^(-[\w-]+=?)?(['"])(.*)$/.exec(word) ?? [];
  if (quote === undefined || text === undefined) return word;
  if (text.endsWith(quote)) return `${option}${text.slice(0, -1)}`;
  throw refusal(word, "its quote is not closed", "a blank is written \\s in an expression");
}

const refusal = (option: string, why: string, hint?: string) =>
  new OomkitError(`cannot use ${printable(option)} with --as earlyoom: ${why}`, hint);
const unknown = (option: string) => refusal(option, "earlyoom has no such option");

/** What would choose other victims than earlyoom does. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  "-g": "process groups are not killed as a whole; use --policy container",
  "-P": "nothing is run before a kill; use -N",
  "--sort-by-rss": "the kernel's order is used",
  "--ignore-root-user": "all users count alike; use --ignore",
};

/**
 * @param words of the command line after `guard`. @param meminfo for sizes, which become percentages.
 * Throws {@link OomkitError} for what cannot be translated.
 */
export function fromEarlyoom(words: readonly string[], meminfo: Meminfo = readMeminfo()): string[] {
  const { values, rest } = parse(words.map(withoutQuotes));
  for (const word of rest) {
    if (POSIX_CLASS.test(word)) {
      throw refusal(word, "an expression has no classes such as [:alpha:]", "write [a-zA-Z]");
    }
  }
  for (const option of [...rest, ...[...values.keys()].map((name) => `-${name}`)]) {
    const why = UNSUPPORTED[option];
    if (why) throw refusal(option, why);
  }
  const memory = lower(
    percentsOf("-m", values.get("m")),
    sizesOf("-M", values.get("M"), meminfo.total),
  );
  const swap = lower(
    percentsOf("-s", values.get("s")),
    sizesOf("-S", values.get("S"), meminfo.swapTotal),
  );
  const actions = `${values.get("policy") ?? "process"}${hookOf(values.get("N"))}`;
  const critical = 100 - memory.term;
  return [
    "--machine",
    ...["--warn", `${Math.min(65, critical)}%`, "--critical", `${critical}%`],
    ...["--margin-ratio", `${memory.kill / 100}`, "--min-margin", "0", "--max-margin", "1P"],
    ...["--on-critical", actions, "--on-imminent", actions, "--grace-period", GRACE_PERIOD],
    ...["--swap", swap.term >= 100 ? "ignore" : `${100 - swap.term}%`, "--match", "name"],
    ...rest,
  ];
}

/** Percent available at which SIGTERM is sent, and SIGKILL. */
interface Minimum {
  readonly term: number;
  readonly kill: number;
}

function lower(percent: Minimum | undefined, size: Minimum | undefined): Minimum {
  const given = [percent, size].filter((each) => each !== undefined);
  if (given.length === 0) return { term: DEFAULT_PERCENT, kill: DEFAULT_PERCENT / 2 };
  return {
    term: Math.min(...given.map(({ term }) => term)),
    kill: Math.min(...given.map(({ kill }) => kill)),
  };
}

function percentsOf(option: string, text: string | undefined): Minimum | undefined {
  return text === undefined ? undefined : minimumOf(option, text, (number) => number);
}

/** @param total bytes. */
function sizesOf(
  option: string,
  text: string | undefined,
  total: number | undefined,
): Minimum | undefined {
  if (text === undefined) return undefined;
  // Without swap there is none free: 0 % are not more than any minimum.
  if (option === "-S" && total === 0) return undefined;
  if (total === undefined) throw refusal(option, "the size of memory is unknown");
  return minimumOf(option, text, (kibibytes) => 100 * 1024 * kibibytes / total);
}

/** `10` or `10,5`; without the second number half of the first, and never less than the second. */
function minimumOf(option: string, text: string, percentOf: (number: number) => number): Minimum {
  const [, first, second] = /^(\d+(?:\.\d+)?)(?:,(\d+(?:\.\d+)?))?$/.exec(text) ?? [];
  if (first === undefined) throw refusal(`${option} ${text}`, "it is not a number, or two");
  const kill = round(percentOf(second === undefined ? Number(first) / 2 : Number(second)));
  const term = Math.max(kill, round(percentOf(Number(first))));
  const isMemory = /m/i.test(option);
  if (term > 100 || term === 0 || (isMemory && (term === 100 || kill === 0))) {
    throw refusal(`${option} ${text}`, "it is out of range");
  }
  return { term, kill };
}

const round = (percent: number) => Number(percent.toFixed(4));

/** The variables that earlyoom sets for its script, as far as they are known. */
function hookOf(script: string | undefined): string {
  if (script === undefined) return "";
  if (!/^\/[^\s'",;&|$]*$/.test(script)) {
    throw refusal(`-N ${script}`, "it is not an absolute path without special characters");
  }
  return `,exec:EARLYOOM_PID=$OOMKIT_EVENT_VICTIM_PID EARLYOOM_NAME=$OOMKIT_EVENT_VICTIM_COMM ${script}`;
}
