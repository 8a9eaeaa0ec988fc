/** Lines that a guard and a watch may print on stderr during a soak; any other line is a finding. */

const EXPECTED: readonly RegExp[] = [
  /^guarding /,
  /^watching /,
  /^configuration reloaded: /,
  // The full log file.
  /^cannot write to \/dev\/full: No space left on device$/,
  /^cannot write to \/dev\/full: \d+ reports are waiting, and the oldest are dropped$/,
  /^could not write to \/dev\/full: \d+ reports? (was|were) dropped$/,
  /^--ignore 777777777 matches no running process and no cgroup$/,
];

/** Why a line is unexpected; `undefined` when it is expected. */
export function unexpectedReason(line: string): string | undefined {
  if (/^\s+at .+:\d+/.test(line) || /Uncaught|panicked|RUST_BACKTRACE/.test(line)) {
    return "a stack trace";
  }
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]/.test(line)) return "a control character";
  return EXPECTED.some((known) => known.test(line)) ? undefined : "an unknown line";
}
