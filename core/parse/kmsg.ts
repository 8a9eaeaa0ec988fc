/** Records of /dev/kmsg (kernel: Documentation/ABI/testing/dev-kmsg). */

import { decodeName } from "../names.ts";

export interface KmsgRecord {
  /** Facility × 8 + level. */
  readonly priority: number;
  /** 0 is the kernel itself; what a program writes to /dev/kmsg is stamped 1 or more, and proves nothing. */
  readonly facility: number;
  readonly sequence: bigint;
  /** Microseconds since boot. */
  readonly timestamp: bigint;
  readonly message: string;
  /**
   * The message goes on from the record before. A kernel line in several pieces (`oom-kill:` is one, a piece for each path)
   * comes apart when it grows past the 1,000 or so bytes of a record, or when another CPU speaks between two pieces. A
   * single piece that is longer than a record is cut there, without a mark.
   */
  readonly continuation: boolean;
  /** The `KEY=value` lines that follow some records. */
  readonly dictionary: ReadonlyMap<string, string>;
}

const HEADER = /^(\d{1,10}),(\d{1,20}),(\d{1,20}),([^,;]*)(?:,[^;]*)?;/;

/**
 * Everything but printable ASCII, and the backslash, arrives as `\xNN`, byte by byte; what these bytes spell is UTF-8, of
 * which a comm that the kernel cut at 15 bytes may hold half a character, or a cgroup's name, which may be anything.
 */
function unescapeHex(text: string): string {
  if (!text.includes("\\x")) return text;
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  for (const piece of text.split(/(\\x[0-9a-f]{2})/)) {
    if (/^\\x[0-9a-f]{2}$/.test(piece)) bytes.push(parseInt(piece.slice(2), 16));
    else bytes.push(...encoder.encode(piece));
  }
  return decodeName(Uint8Array.from(bytes));
}

/** One read of /dev/kmsg is one record; `undefined` for what is none. */
export function parseKmsgRecord(text: string): KmsgRecord | undefined {
  const header = HEADER.exec(text);
  if (header === null) return undefined;
  const [prefix, priority, sequence, timestamp, flags] = header;
  const [message, ...rest] = text.slice(prefix.length).split("\n");
  const dictionary = new Map<string, string>();
  for (const line of rest) {
    const equals = line.indexOf("=");
    if (!line.startsWith(" ") || equals < 0) continue;
    dictionary.set(unescapeHex(line.slice(1, equals)), unescapeHex(line.slice(equals + 1)));
  }
  return {
    priority: Number(priority),
    facility: Number(priority) >> 3,
    sequence: BigInt(sequence!),
    timestamp: BigInt(timestamp!),
    message: unescapeHex(message!),
    continuation: flags === "c" || flags === "+",
    dictionary,
  };
}

/**
 * A continuation together with the record before it, under that one's number and time; any other record as it is. Given
 * each result with the next record, this puts lines together again that the kernel wrote in pieces. Where another CPU's
 * record came in between, the line stays in pieces: nothing tells whose continuation it is.
 */
export function joinContinuation(last: KmsgRecord | undefined, record: KmsgRecord): KmsgRecord {
  if (last === undefined || !record.continuation) return record;
  return { ...last, message: last.message + record.message };
}
