/** The OOM kills of one kernel log, and what of the log was not seen. The lines are joined to kills as a watch does it. */

import { omitUndefined } from "../omit_undefined.ts";
import type { LogLine } from "../parse/log_line.ts";
import { MAX_MESSAGE_CHARACTERS, OomPieces } from "../parse/oom_pieces.ts";
import { KillLogParser, type LoggedKill, MAX_GROUP_GAP_US } from "../watch/kernel_log.ts";

export interface PastKill extends Omit<LoggedKill, "isRepeated" | "processCgroup"> {
  /** Milliseconds since the epoch; absent where the log has only the time since boot, or none. */
  readonly at?: number;
  /** Microseconds since boot. */
  readonly uptime?: bigint;
  /** The journal's boot id. */
  readonly boot?: string;
  readonly host?: string;
  /** Names of the logs that have it. */
  readonly sources: readonly string[];
}

/** A log that was read, and how far. */
export interface ReadLog {
  readonly kind: "kmsg" | "journal" | "file";
  readonly name: string;
  readonly lines: number;
  readonly kills: readonly PastKill[];
  /** Milliseconds since the epoch: the times of the first and the last line that has one. */
  readonly from?: number;
  readonly to?: number;
  /** How many boots the lines are of; absent where they do not show it. */
  readonly boots?: number;
  readonly gaps: readonly Gap[];
  /** Lines that the kernel logged again for a process of a group kill; its counter has them too. */
  readonly repeated: number;
}

/** What is known to be missing. */
export interface Gap {
  readonly reason:
    | "unreadable"
    | "overwritten"
    | "earlier_boots"
    | "lost_lines"
    | "cut_lines"
    | "no_cgroup"
    | "no_time"
    | "no_year"
    | "not_logged"
    | "other_paths";
  /** A log, or absent for all of them. */
  readonly source?: string;
  readonly count?: number;
  readonly message: string;
}

/** Every line that {@link LogKills} has to see; the others only show that there is a log. */
export const OOM_MARKER =
  /oom|Killed process|memory: usage |[Kk]ill process|Tasks? in |as a result of limit|callbacks suppressed|Missed \d|lost due to rate|messages dropped|Linux version|"MESSAGE" ?: ?\[/;

/** Rounded times: syslog has whole seconds. */
const MAX_ROUNDED_GAP_US = MAX_GROUP_GAP_US + 1_000_000n;

/** include/linux/ratelimit.h, of the function that dumps the summary. */
const SUPPRESSED = /^(?:oom_kill_process|out_of_memory|dump_header): (\d+) callbacks suppressed$/;
/** journald (dev_kmsg_record) skips what was overwritten before it reads it; rsyslog (imjournal) what comes too fast. */
const MISSED = /^(?:Missed |imjournal: )(\d+) (?:kernel messages|messages lost due to rate)/;

/** The lines of one boot of one machine. */
class Stream {
  parser: KillLogParser;
  readonly pieces = new OomPieces();

  constructor(private readonly maxGap: bigint) {
    this.parser = new KillLogParser(maxGap);
  }

  reboot(): void {
    this.parser = new KillLogParser(this.maxGap);
    this.pieces.end();
  }
}

export class LogKills {
  readonly kills: PastKill[] = [];
  lines = 0;
  kernelLines = 0;
  repeated = 0;
  #from: number | undefined;
  #to: number | undefined;
  #cut = 0;
  #lost = 0;
  #suppressed = 0;
  #isYearInferred = false;
  #hasLog = false;
  readonly #boots = new Set<string>();
  readonly #streams = new Map<string, Stream>();

  /** @param name of the log. */
  constructor(private readonly kind: ReadLog["kind"], private readonly name: string) {}

  /** A line has begun but not ended: the next one may be its rest, also without a marker. */
  get isInPieces(): boolean {
    return this.#streams.values().some(({ pieces }) => pieces.isOpen);
  }

  /** Whether any line was one of a log. */
  get hasLog(): boolean {
    return this.#hasLog;
  }

  /** Whether the time of a line has been seen. */
  get hasTime(): boolean {
    return this.#from !== undefined;
  }

  /** Lines in the order of the log. */
  add(line: LogLine): void {
    this.#seen(line);
    this.#lost += line.dropped ?? 0;
    if (!line.isKernel) {
      this.#lost += Number(MISSED.exec(line.message)?.[1] ?? 0);
      return;
    }
    this.kernelLines += 1;
    if (line.message.length > MAX_MESSAGE_CHARACTERS) {
      this.#cut += 1;
      return;
    }
    const stream = this.#streamOf(line);
    if (line.message.startsWith("Linux version ")) stream.reboot();
    const message = stream.pieces.join(line.message, line.continuation);
    this.#suppressed += Number(SUPPRESSED.exec(message)?.[1] ?? 0);
    const micros = line.uptime ?? BigInt(Math.round((line.at ?? 0) * 1000));
    const found = stream.parser.add(message, micros);
    if (found === undefined) return;
    const { isRepeated, processCgroup: _, ...kill } = found;
    if (isRepeated) {
      this.repeated += 1;
      return;
    }
    const { at, uptime, boot, host } = line;
    this.kills.push(omitUndefined({ ...kill, at, uptime, boot, host, sources: [this.name] }));
  }

  /** A line without a marker: only its time counts. */
  skip(line: LogLine): void {
    this.#seen(line);
    if (line.isKernel) this.kernelLines += 1;
  }

  /** A line that was too long, or is not understood. */
  countCut(): void {
    this.#cut += 1;
  }

  #seen({ at, boot, lacksYear }: LogLine): void {
    this.#hasLog = true;
    if (at !== undefined) {
      this.#from = Math.min(this.#from ?? at, at);
      this.#to = Math.max(this.#to ?? at, at);
    }
    if (boot !== undefined) this.#boots.add(boot);
    if (lacksYear) this.#isYearInferred = true;
  }

  #streamOf({ host = "", boot = "", uptime }: LogLine): Stream {
    const key = `${host} ${boot}`;
    let stream = this.#streams.get(key);
    if (stream === undefined) {
      stream = new Stream(uptime === undefined ? MAX_ROUNDED_GAP_US : MAX_GROUP_GAP_US);
      this.#streams.set(key, stream);
    }
    return stream;
  }

  /** To be called once, after the last line. @param more gaps that the reader of the log knows. */
  end(more: readonly Gap[] = []): ReadLog {
    for (const { pieces } of this.#streams.values()) {
      pieces.end();
      this.#cut += pieces.cut;
    }
    return omitUndefined({
      kind: this.kind,
      name: this.name,
      lines: this.lines,
      kills: this.kills,
      from: this.#from,
      to: this.#to,
      boots: this.#boots.size || undefined,
      repeated: this.repeated,
      gaps: [...more, ...this.#gaps()],
    });
  }

  #gaps(): Gap[] {
    const { name: source } = this;
    const withoutCgroup = this.kills.filter(({ cgroup, group }) => !(cgroup ?? group)).length;
    const withoutTime = this.kills.filter(({ at }) => at === undefined).length;
    const suppressed = this.#suppressed > 0 ? ` (left out here: ${this.#suppressed})` : "";
    const counted = [
      [
        "lost_lines",
        this.#lost,
        "kernel line was lost before it was saved",
        "kernel lines were lost before they were saved",
        "",
      ],
      [
        "cut_lines",
        this.#cut,
        "line about an OOM is cut or not understood",
        "lines about an OOM are cut or not understood",
        "",
      ],
      [
        "no_cgroup",
        withoutCgroup,
        "kill has no cgroup",
        "kills have no cgroup",
        `: the kernel names it at most 10 times in 5 s${suppressed}, and before 5.0 not when ` +
        "the machine runs out of memory",
      ],
      [
        "no_time",
        withoutTime,
        "kill has no date",
        "kills have no date",
        ": the log has at most the time since boot; --since does not apply",
      ],
    ] as const;
    const gaps = counted.filter(([, count]) => count > 0).map((
      [reason, count, one, many, why],
    ): Gap => ({ reason, source, count, message: `${count} ${count === 1 ? one : many}${why}` }));
    if (!this.#isYearInferred) return gaps;
    const message = "its lines have no year: the latest possible one is assumed";
    return [...gaps, { reason: "no_year", source, message }];
  }
}
