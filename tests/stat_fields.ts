/** Of /proc/PID/stat, found without the code under test: proc(5). */

export interface StatFields {
  readonly state: string;
  /** Clock ticks after boot. */
  readonly startTime: bigint;
}

export function statFieldsOf(pid: number): StatFields {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  // The name before may hold anything, brackets included.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0]!, startTime: BigInt(fields[19]!) };
}
