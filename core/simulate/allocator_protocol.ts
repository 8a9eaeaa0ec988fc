/** The progress of an allocator process as lines of text, and the words of its allocation. */

export const KINDS = ["anon", "file", "shmem"] as const;
export type Kind = typeof KINDS[number];

export const SIGNAL_REPLIES = ["free", "ignore", "exit"] as const;

/** The signals of OOMHero (warning, critical), and the one that asks any process to terminate. */
export const ANSWERED_SIGNALS = ["SIGUSR1", "SIGUSR2", "SIGTERM"] as const;
export type AnsweredSignal = typeof ANSWERED_SIGNALS[number];

const STOP_REASONS = ["stop_at", "max_bytes", "signal"] as const;
/** Why an allocator stopped by itself. */
export type StopReason = typeof STOP_REASONS[number];

/** `at` is in microseconds since the epoch, read by the allocator. */
export type Progress =
  | { readonly type: "ready"; readonly at: number }
  | {
    readonly type: "allocator_started" | "used";
    readonly allocated: number;
    readonly usage?: number;
    readonly at: number;
  }
  | { readonly type: "signal"; readonly signal: AnsweredSignal; readonly at: number }
  | { readonly type: "done"; readonly reason: StopReason; readonly at: number };

const SPACE = 0x20;
const NEWLINE = 0x0a;
const DASH = 0x2d;
const ZERO = 0x30;

const line = new Uint8Array(96);
const USED = new TextEncoder().encode("used ");
const STARTED = new TextEncoder().encode("allocator_started ");

/**
 * Formats a line about memory without allocating any: it is written inside the cgroup while its last bytes are counted.
 * Returns a view of a buffer that the next call overwrites.
 */
export function memoryLine(
  type: "allocator_started" | "used",
  at: number,
  allocated: number,
  usage: number | undefined,
): Uint8Array {
  const word = type === "used" ? USED : STARTED;
  line.set(word);
  let end = putNumber(word.length, at);
  line[end++] = SPACE;
  end = putNumber(end, allocated);
  line[end++] = SPACE;
  if (usage === undefined) line[end++] = DASH;
  else end = putNumber(end, usage);
  line[end++] = NEWLINE;
  return line.subarray(0, end);
}

/** Writes a whole number in decimal; returns where it ends. */
function putNumber(at: number, value: number): number {
  let divisor = 1;
  while (value / divisor >= 10) divisor *= 10;
  for (let rest = value; divisor >= 1; divisor /= 10) {
    const digit = Math.floor(rest / divisor);
    line[at++] = ZERO + digit;
    rest -= digit * divisor;
  }
  return at;
}

/** Formats every line that is not about memory. */
export function progressLine(type: "ready" | "signal" | "done", at: number, rest = ""): string {
  return `${type} ${at}${rest === "" ? "" : ` ${rest}`}\n`;
}

/** `undefined` for a line that no allocator writes. */
export function parseProgress(text: string): Progress | undefined {
  const [, type, digits, rest = ""] = /^([a-z_]+) (\d{1,16})(?: (.*))?$/s.exec(text) ?? [];
  const at = Number(digits);
  switch (type) {
    case "ready":
      return rest === "" ? { type, at } : undefined;
    case "allocator_started":
    case "used": {
      const [, allocated, usage] = /^(\d{1,16}) (\d{1,16}|-)$/.exec(rest) ?? [];
      if (allocated === undefined) return undefined;
      const known = usage === "-" ? {} : { usage: Number(usage) };
      return { type, at, allocated: Number(allocated), ...known };
    }
    case "signal": {
      const signal = ANSWERED_SIGNALS.find((name) => name === rest);
      return signal && { type, at, signal };
    }
    case "done": {
      const reason = STOP_REASONS.find((word) => word === rest);
      return reason && { type, at, reason };
    }
  }
  return undefined;
}
