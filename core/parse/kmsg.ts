/** Records of /dev/kmsg (kernel: Documentation/ABI/testing/dev-kmsg). */

import { decodeName } from "../names.ts";

export interface KmsgRecord {
  /** Facility × 8 + level. */
  readonly priority: number;
  /** 0 is the kernel; records that a program wrote to /dev/kmsg have 1 or more, and prove nothing. */
  readonly facility: number;
  readonly sequence: bigint;
  /** Microseconds since boot. */
  readonly timestamp: bigint;
  readonly message: string;
  /**
   * The message continues the previous record. The kernel prints some lines in pieces (`oom-kill:` has one for each path). They
   * become separate records if the line exceeds the 1,000 or so bytes of a record, or if another CPU logs between two pieces.
   * A single piece that is longer than a record is cut without a mark.
   */
  readonly continuation: boolean;
  /** The `KEY=value` lines of the record. */
  readonly dictionary: ReadonlyMap<string, string>;
}

const HEADER = /^(\d{1,10}),(\d{1,20}),(\d{1,20}),([^,;]*)(?:,[^;]*)?;/;

/**
 * The kernel escapes each byte that is not printable ASCII, and the backslash, as `\xNN`. The bytes are UTF-8, except in a comm
 * that was cut at 15 bytes within a character, and in a cgroup's name, which may be any bytes.
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

/** One read of /dev/kmsg returns one record; `undefined` for text that is not a record. */
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
