/** Commands in what is printed: a user can paste them into a shell. */

const COMMANDS =
  /(?<![\w./-])oomkit (?=(?:inspect|watch|history|guard|status|simulate|completions|help) ?)/g;

let name: string | undefined;

/** The program as it was called, quoted for a shell: `oomkit`, `dist/oomkit`, `scripts/oomkit`. */
export function programName(): string {
  return name ??= shellWord(calledAs() || "oomkit");
}

/** The launcher of the sources passes its own name on: this process is Deno then. */
function calledAs(): string | undefined {
  if (!Deno.build.standalone) return Deno.env.get("OOMKIT_CALLED_AS");
  try {
    return Deno.readTextFileSync("/proc/self/cmdline").split("\0")[0];
  } catch {
    return undefined;
  }
}

/** Replaces the name in each command of oomkit by the one with which it was called. */
export const asCalled = (text: string): string => text.replace(COMMANDS, () => `${programName()} `);

/** A word as a shell reads it. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
