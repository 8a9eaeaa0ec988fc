/**
 * Keeps private and archaic words out: `deno task words` prints one line for each use of a word that the kernel, oomd,
 * earlyoom and Kubernetes do not use, with the term that they use. Part of `deno task ok`.
 */

import { git } from "./command.ts";
import { Mistake, printLine, run } from "./terminal.ts";

/** What is searched for, as whole words in any case, and what to write instead. Inflections are listed. */
const WORDS: Readonly<Record<string, string>> = {
  "wards?": "CgroupState, the state of a guarded cgroup",
  "sentr(y|ies)": "monitor thread, MonitorLoop",
  "blows?": "kill",
  "bells?": "level state",
  "minders?": "restore watchdog",
  "ghosts?": "missed cgroup",
  "heirs?": "successor",
  "rosters?": "registry",
  "census": "reconciler",
  "deeds?": "action, kill",
  "haunts?": "missed cgroup",
  "bequeaths?": "transfer",
  "eaters?": "allocator",
  "whereabouts": "location",
  "tripwires?": "throttle",
  "letgo|let_go": "action_skipped",
  "struck": "signalled, killed",
  "(un)?told": "reported, notified, unreported",
  "who": "the process, the cgroup",
  "whom": "the process, the cgroup",
  "whose": "of the process, of the cgroup",
  "whoever|whomever": "the process that",
  "nobody": "no process, nothing",
  "somebody|someone": "another process, the user",
  "anybody|everybody": "any process, every user",
  "he|him": "it",
  "anew|afresh": "again",
  "beneath": "below",
  "seldom": "rarely",
  "wherein|whereof|whereby": "in which",
  "ere|lest|nor is": "before, so that not",
};

/** Files that may hold any word, and why. */
const EXEMPT: readonly RegExp[] = [
  // The list itself, and its test.
  /^scripts\/words\.ts$/,
  /^tests\/scripts\/words_test\.ts$/,
  // Recorded data, and texts captured from kernels.
  /^tests\/fixtures\//,
  /^docs\/benchmarks\.jsonl$/,
  /^deno\.lock$/,
  // Maps the names of schema version 1 to those of version 2, so that their users find the new ones.
  /^CHANGELOG\.md$/,
  /^LICENSE$/,
  // Licences of others.
  /^THIRD_PARTY_NOTICES$/,
  /^scripts\/reference\/licences\//,
];

/** Uses that are right: they are taken out of a line before it is searched. */
const ALLOWED: readonly RegExp[] = [
  // The user of that name in passwd(5).
  /\bnobody:[^:]*:|:nobody:/g,
  // A variable of readline.
  /\bbell-style\b/g,
  // People, who are no processes.
  /\b(users?|people|readers?|developers?|operators?|SREs?|those) (who|whose|whom)\b/g,
];

const pattern = new RegExp(
  `(?<![\\p{L}\\p{N}])(${Object.keys(WORDS).join("|")})(?![\\p{L}\\p{N}])`,
  "giu",
);

/** @returns one line for each use: `path:line: word; write …`. */
export function offences(path: string, text: string): string[] {
  if (EXEMPT.some((exempt) => exempt.test(path))) return [];
  return text.split("\n").flatMap((line, index) => {
    const rest = ALLOWED.reduce((text, allowed) => text.replaceAll(allowed, ""), line);
    // An identifier in camelCase or snake_case is several words.
    const words = rest.replaceAll(/(?<=\p{Ll})(?=\p{Lu})/gu, " ").replaceAll("_", " ");
    return [...words.matchAll(pattern)].map(([word]) =>
      `${path}:${index + 1}: "${word}"; write: ${instead(word)}`
    );
  });
}

function instead(word: string): string {
  const found = Object.entries(WORDS).find(([each]) => new RegExp(`^(${each})$`, "iu").test(word));
  return found?.[1] ?? "the field's term";
}

function read(path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(path));
  } catch {
    // Not text, or removed in the working tree.
    return "";
  }
}

if (import.meta.main) {
  await run("words", async () => {
    Deno.chdir(new URL("..", import.meta.url));
    const listed = await git("ls-files", "-z", "--cached", "--others", "--exclude-standard");
    if (listed === undefined) throw new Mistake("cannot list the files: git failed");
    const found = listed.split("\0").filter((path) => path !== "").flatMap((path) =>
      offences(path, read(path))
    );
    found.forEach(printLine);
    return found.length === 0 ? 0 : 1;
  });
}
