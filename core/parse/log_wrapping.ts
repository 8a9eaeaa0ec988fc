/** What containers, consoles and tools put around the lines of a kernel log. Pure. */

/** `dmesg --color`. */
// deno-lint-ignore no-control-regex
const COLOURS = /\x1b\[[\d;]*m/g;
/** A crash leaves blocks of NUL in a file; -o json-seq begins each line with RS, -o json-sse with `data:`; a paste is indented. */
// deno-lint-ignore no-control-regex
const BEFORE = /^(?:[\0\x1e\s]|data: (?=\{))+/;
/** The text of a line alone. */
export function bareLine(text: string): string {
  const plain = text.includes("\x1b") ? text.replace(COLOURS, "") : text;
  const line = plain.replace(BEFORE, "").replace(/\r$/, "");
  // A console pads its lines; one space may be the kernel's.
  const end = line.trimEnd();
  return line.length - end.length > 1 ? end : line;
}

/** A console that was too slow (kernel: printk.c, console_emit_next_record). */
const DROPPED = /^\*\* (\d+) printk messages dropped \*\* ?(.*)$/s;

/** How many lines were dropped before this one, and the rest of it. */
export function withoutDropped(line: string): { dropped: number; rest: string } | undefined {
  const [, dropped, rest] = DROPPED.exec(line) ?? [];
  return dropped === undefined || rest === undefined
    ? undefined
    : { dropped: Number(dropped), rest };
}

export interface Unwrapped {
  readonly rest: string;
  /** When the line was logged, RFC 3339. */
  readonly time?: string;
}

const RFC_3339 = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(?:\\.\\d+)?Z";
/** `stdout F` of the CRI, or nothing of `kubectl logs --timestamps`: the time at which the container read the line. */
const CONTAINER = new RegExp(`^${RFC_3339} (?:std(?:out|err) [FP] )?(?=<\\d|\\[ *\\d)(.*)$`, "s");
/** The console of a virtual machine in VMware's log. */
const GUEST = new RegExp(`^(${RFC_3339}) \\S+ vcpu-\\d+ - Guest: (.*)$`, "s");
/** The file and the number of the line. */
const GREP =
  /^(?=\S)(?:[^\s:]*[:-])?(?:\d+[:-])?(?=[A-Z][a-z]{2} [ \d]\d \d\d:|\d{4}-\d\d-\d\d[T ]|\[ *\d+\.\d{6}\])(.*)$/s;

/** `undefined` for a line that is not wrapped. */
export function unwrapped(line: string): Unwrapped | undefined {
  const [, time, guest] = GUEST.exec(line) ?? [];
  if (time !== undefined && guest !== undefined) return { rest: guest, time };
  const rest = CONTAINER.exec(line)?.[1] ?? GREP.exec(line)?.[1];
  return rest === undefined || rest === line ? undefined : { rest };
}

/** The line in an entry of docker's json-file; the time there is the one at which the container wrote it. */
export function ofContainer(fields: Readonly<Record<string, unknown>>): Unwrapped | undefined {
  const { log, stream } = fields;
  return typeof log === "string" && typeof stream === "string"
    ? { rest: log.replace(/\n$/, "") }
    : undefined;
}
