/** The state letter of proc(5), /proc/PID/stat, read without the code under test. */
export function stateOf(pid: number): string {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  // The name before it may contain parentheses.
  return text[text.lastIndexOf(")") + 2]!;
}

/** Field 22 of proc(5), /proc/PID/stat: clock ticks after boot. */
export function startTimeOf(pid: number): string {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return text.slice(text.lastIndexOf(")")).split(" ")[20]!;
}
