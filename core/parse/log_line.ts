/**
 * Lines of a saved kernel log: dmesg in its formats, syslog files, `journalctl -o short…` and `-o json`, copies of /dev/kmsg, and
 * each of them as a container, a console or grep writes it. Pure.
 *
 * A line is taken for the kernel's by its tag. Any program that may log can write that tag, so a text file proves less than
 * /dev/kmsg and the journal, which keep the facility.
 */

import { omitUndefined } from "../omit_undefined.ts";
import { parseKmsgRecord } from "./kmsg.ts";
import { bareLine, ofContainer, unwrapped, withoutDropped } from "./log_wrapping.ts";
import { parseOomMessage } from "./oom_message.ts";

export interface LogLine {
  readonly message: string;
  /** False for the line of a program. */
  readonly isKernel: boolean;
  readonly host?: string;
  /** The journal's boot id. */
  readonly boot?: string;
  /** Milliseconds since the epoch. */
  readonly at?: number;
  /** Microseconds since boot, as the kernel stamped the message. */
  readonly uptime?: bigint;
  /** The message continues the one before. */
  readonly continuation?: true;
  /** The year is inferred: the line has none. */
  readonly lacksYear?: true;
  /** Lines of the kernel that were dropped before this one. */
  readonly dropped?: number;
}

/**
 * `undefined` for what is no line of a log.
 *
 * @param latest milliseconds since the epoch, such as when the file was changed last: a time without a year is the last one that is
 * at most a day later.
 */
export function parseLogLine(text: string, latest: number): LogLine | undefined {
  const line = bareLine(text);
  if (line.startsWith("{")) return parseJson(line, latest);
  const known = parseStamped(line, latest);
  if (known !== undefined) return known;
  const after = withoutDropped(line);
  if (after !== undefined) {
    const { dropped, rest } = after;
    return { ...parseStamped(rest, latest) ?? { message: rest, isKernel: true }, dropped };
  }
  const outer = unwrapped(line);
  const inner = outer && parseStamped(outer.rest, latest);
  if (inner !== undefined) {
    return outer?.time === undefined ? inner : { ...timeOf(outer.time, latest), ...inner };
  }
  const message = /^kernel: (.*)$/s.exec(line)?.[1] ?? (parseOomMessage(line) && line);
  return message === undefined ? undefined : { message, isKernel: true };
}

/** A line that begins with its number or time. */
const parseStamped = (line: string, latest: number): LogLine | undefined =>
  parseRecord(line) ?? parseDmesg(line, latest) ?? parseTalos(line, latest) ??
    parseSyslog(line, latest);

function parseRecord(line: string): LogLine | undefined {
  const record = parseKmsgRecord(line);
  return record && omitUndefined({
    message: record.message,
    isKernel: record.facility === 0,
    uptime: record.timestamp,
    continuation: record.continuation ? true as const : undefined,
  });
}

function parseJson(line: string, latest: number): LogLine | undefined {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(line);
  } catch {
    return undefined;
  }
  const inner = ofContainer(fields);
  return inner === undefined ? parseJournalFields(fields) : parseStamped(inner.rest, latest);
}

/** systemd.journal-fields(7); a message that is not UTF-8 is an array of bytes. */
function parseJournalFields(fields: Record<string, unknown>): LogLine | undefined {
  const text = (name: string) => typeof fields[name] === "string" ? fields[name] : undefined;
  const micros = (name: string) => {
    const value = text(name);
    return value !== undefined && /^\d{1,18}$/.test(value) ? Number(value) : undefined;
  };
  const received = micros("__REALTIME_TIMESTAMP");
  if (received === undefined) return undefined;
  const uptime = micros("_SOURCE_MONOTONIC_TIMESTAMP");
  // journald reads what was logged before its start later.
  const delay = uptime === undefined ? 0 : (micros("__MONOTONIC_TIMESTAMP") ?? uptime) - uptime;
  return omitUndefined({
    message: messageOf(fields["MESSAGE"]),
    // Records that a program wrote to /dev/kmsg have another facility.
    isKernel: text("_TRANSPORT") === "kernel" && (text("SYSLOG_FACILITY") ?? "0") === "0",
    host: text("_HOSTNAME"),
    boot: text("_BOOT_ID"),
    at: (received - Math.max(0, delay)) / 1000,
    uptime: uptime === undefined ? undefined : BigInt(uptime),
  });
}

function messageOf(value: unknown): string {
  if (typeof value === "string") return value;
  const isBytes = Array.isArray(value) && value.every((byte) => Number.isInteger(byte));
  return isBytes ? new TextDecoder().decode(Uint8Array.from(value as number[])) : "";
}

/** `kern  :warn  : ` of `dmesg -x`, `<4>` of `dmesg -r`, the time in brackets, the caller with CONFIG_PRINTK_CALLER. */
const DMESG = new RegExp(
  "^(?:([a-z]+[0-7]?) *:[a-z]+ *: )?(?:<(\\d{1,3})>)?" +
    "(?:\\[([^\\]]{1,48})\\]|(\\d{4}-\\d\\d-\\d\\dT[\\d:]{8},\\d+[-+]\\d\\d:\\d\\d))" +
    "(?:\\[ *[TC]\\d+\\])?(?: (.*))?$",
  "s",
);

function parseDmesg(line: string, latest: number): LogLine | undefined {
  const [whole, facility, priority, bracket, iso, rest = ""] = DMESG.exec(line) ?? [];
  if (whole === undefined || (bracket !== undefined && !/\d/.test(bracket))) return undefined;
  const uptime = /^ *(\d{1,10})\.(\d{6})(?: +<.*>)?$/.exec(bracket ?? "");
  // `journalctl -o short-monotonic` has the host and the program after the time.
  const [, host, message = rest] = uptime && /^(\S+) kernel: (.*)$/s.exec(rest) || [];
  return omitUndefined({
    message,
    isKernel: facility === undefined ? Number(priority ?? 0) >> 3 === 0 : facility === "kern",
    host,
    uptime: uptime ? BigInt(uptime[1]! + uptime[2]!) : undefined,
    ...uptime ? {} : timeOf(iso ?? bracket!, latest),
  });
}

/** `talosctl dmesg`, which puts the node before lines of several. */
const TALOS = /^(?:(\S+): )?([a-z]+): +[a-z]+: \[(\d{4}-[^\]]{1,40})\]: (.*)$/s;

function parseTalos(line: string, latest: number): LogLine | undefined {
  const [, host, facility, time, message] = TALOS.exec(line) ?? [];
  if (time === undefined || message === undefined) return undefined;
  return omitUndefined({ message, isKernel: facility === "kern", host, ...timeOf(time, latest) });
}

const SYSLOG_TIME = [
  "\\d{4}-\\d\\d-\\d\\d[T ]\\d\\d:\\d\\d:\\d\\d(?:[.,]\\d+)?(?:Z|[-+]\\d\\d:?\\d\\d)?",
  // busybox logread has the day of the week and the year.
  "(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} +\\d{1,2} (?:\\d{4} )?\\d\\d:\\d\\d:\\d\\d(?:\\.\\d+)?(?: \\d{4})?",
  // journalctl -o short-full.
  "[A-Z][a-z]{2} \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d(?:\\.\\d+)? [-+\\w]+",
  "\\d{9,11}\\.\\d{6}",
].join("|");

/** `<4>1 ` before the time is RFC 5424's. */
const SYSLOG = new RegExp(`^(?:<(\\d{1,3})>(?:1 )?)?(${SYSLOG_TIME}) +(.*)$`, "s");
/**
 * The host may be absent (`--no-hostname`): a word that ends in a colon is a program. busybox has `kern.warn` before the program, and
 * another facility for the line of a program with that name.
 */
const OF_KERNEL =
  /^(?:(?!(?:kern|user|mail|daemon|auth|authpriv|syslog|lpr|news|uucp|cron|ftp|security|local[0-7])\.[a-z]+ )(\S*[^\s:]) )?(?:kern\.[a-z]+ )?kernel(?:(?:\[\d+\])?:| - - (?:-|\[.*?\])) ?(.*)$/s;
const OF_PROGRAM = /^(?:(\S*[^\s:]) )?[^\s:]+: ?(.*)$/s;
/** What rsyslog and journald leave before the message. */
const KERNEL_STAMP = /^(?:<\d{1,3}>)?\[ *(\d{1,10})\.(\d{6})\](?:\[ *[TC]\d+\])? ?/;

function parseSyslog(line: string, latest: number): LogLine | undefined {
  const [, priority = "0", time, rest] = SYSLOG.exec(line) ?? [];
  if (time === undefined || rest === undefined) return undefined;
  const ofKernel = OF_KERNEL.exec(rest);
  const [, host, tagged] = ofKernel ?? OF_PROGRAM.exec(rest) ?? [];
  if (tagged === undefined) return undefined;
  const stamp = ofKernel ? KERNEL_STAMP.exec(tagged) : null;
  return omitUndefined({
    message: tagged.slice(stamp?.[0].length ?? 0),
    isKernel: ofKernel !== null && Number(priority) >> 3 === 0,
    host,
    uptime: stamp ? BigInt(stamp[1]! + stamp[2]!) : undefined,
    ...timeOf(time, latest),
  });
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const DAY_MS = 86_400_000;

/** Empty for a time that is not understood, as one of another language. A time without a zone is local. */
function timeOf(text: string, latest: number): Pick<LogLine, "at" | "lacksYear"> {
  if (/^\d{9,11}\.\d+$/.test(text)) return { at: Number(text) * 1000 };
  const [, date, clock, zone = ""] =
    /^(?:[A-Z][a-z]{2} )?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:[.,]\d+)?) ?(\S*)$/.exec(text) ??
      [];
  if (date !== undefined && clock !== undefined) {
    // The abbreviation of a zone may mean several; that of journalctl is the machine's.
    const isOffset = /^(Z|UTC|[-+]\d\d:?\d\d)$/.test(zone);
    const offset = zone === "UTC" ? "Z" : zone.replace(/^([-+]\d\d)(\d\d)$/, "$1:$2");
    return known(Date.parse(`${date}T${clock.replace(",", ".")}${isOffset ? offset : ""}`));
  }
  const [, name, day, before, hours, minutes, seconds = "0", after] =
    /^(?:[A-Z][a-z]{2} )?([A-Z][a-z]{2}) +(\d{1,2}) (?:(\d{4}) )?(\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?(?: (\d{4}))?$/
      .exec(text) ?? [];
  const month = MONTHS.indexOf(name ?? "");
  if (month < 0) return {};
  const inYear = (year: number) =>
    new Date(year, month, Number(day), Number(hours), Number(minutes)).getTime() +
    Number(seconds) * 1000;
  const year = before ?? after;
  if (year !== undefined) return known(inYear(Number(year)));
  const last = new Date(latest).getFullYear() + 1;
  // February 29 is in one of eight years at the least.
  for (let year = last; year > last - 9; year--) {
    const at = inYear(year);
    if (at <= latest + DAY_MS && new Date(at).getMonth() === month) return { at, lacksYear: true };
  }
  return {};
}

const known = (at: number) => Number.isFinite(at) ? { at } : {};
