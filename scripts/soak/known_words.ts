/** What a guard and a watch may say on stderr while they are soaked; anything else is a finding. */

const KNOWN: readonly RegExp[] = [
  /^guarding /,
  /^watching /,
  /^configuration reloaded: /,
  // The full log file.
  /^cannot write to \/dev\/full: No space left on device$/,
  /^cannot write to \/dev\/full: \d+ reports are waiting, and the oldest are dropped$/,
  /^could not write to \/dev\/full: \d+ reports? (was|were) dropped$/,
  /^--ignore 777777777 matches no running process and no cgroup$/,
];

/** Why a line must not be there; `undefined` for one that may. */
export function strangeLine(line: string): string | undefined {
  if (/^\s+at .+:\d+/.test(line) || /Uncaught|panicked|RUST_BACKTRACE/.test(line)) {
    return "a stack trace";
  }
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]/.test(line)) return "a control character";
  return KNOWN.some((known) => known.test(line)) ? undefined : "an unknown line";
}
