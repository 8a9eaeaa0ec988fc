/** Found without the code under test: the letter of proc(5), /proc/PID/stat. */
export function stateOf(pid: number): string {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  // The name before may hold anything, brackets included.
  return text[text.lastIndexOf(")") + 2]!;
}

/** Field 22 of proc(5), /proc/PID/stat: clock ticks after boot. */
export function startTimeOf(pid: number): string {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return text.slice(text.lastIndexOf(")")).split(" ")[20]!;
}
