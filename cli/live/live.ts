/** The live view of `watch` and `guard`. It owns the terminal from its creation until it is closed. */

import type { OomkitEvent } from "../../core/events/event.ts";
import type { Guard } from "../../core/guard/guard.ts";
import { killLevel, type PolicySet } from "../../core/guard/policy.ts";
import { killActionOf } from "../../core/policy/actions.ts";
import { LEVELS } from "../../core/policy/levels.ts";
import type { AnyEvent } from "../../core/record/format.ts";
import type { Timeline } from "../../core/record/timeline.ts";
import type { WatchOptions } from "../../core/watch/options.ts";
import type { Watching } from "../../core/watch/watch.ts";
import { formatCount } from "../options/units.ts";
import { candidateText } from "../output/candidate_text.ts";
import { clockTime } from "../output/event_text.ts";
import { divertOutput, print, printStderr, printStderrRaw } from "../output/output.ts";
import type { UsageMark } from "../terminal/bars.ts";
import { capabilitiesOf, type Size, type TerminalFlags } from "../terminal/capabilities.ts";
import type { Key } from "../terminal/keys.ts";
import { createFrameLimiter, Terminal } from "../terminal/terminal.ts";
import { STYLES } from "../terminal/width.ts";
import { Replay } from "./replay.ts";
import type { Row } from "./rows.ts";
import { CgroupSource, ReplaySource, type Source } from "./source.ts";
import { screenLines, scrollOf } from "./screen.ts";
import {
  firstView,
  type LogEntry,
  type ReplayCommand,
  shownRows,
  updateView,
  type View,
  withRows,
} from "./view.ts";

interface LiveOptions {
  readonly flags: TerminalFlags;
  /** Called when the user quits or the terminal is closed. */
  end(): void;
}

/** @param watching `undefined` until the watch has started */
export function openWatchLive(
  options: LiveOptions,
  thresholds: WatchOptions["thresholds"],
  watching: () => Watching | undefined,
): Live {
  const marks = (limit: number): readonly UsageMark[] =>
    thresholds.flatMap((each) => {
      const bytes = "bytes" in each ? each.bytes : limit * each.percent / 100;
      return Number.isFinite(bytes) ? [{ name: "watched", bytes }] : [];
    });
  const subjects = () =>
    (watching()?.cgroups() ?? []).map((cgroup) => ({ cgroup, limitOwner: cgroup, marks }));
  return new Live("watch", options, new CgroupSource(subjects));
}

/**
 * @param guard `undefined` until the guard has started
 * @param policies those in force now
 */
export function openGuardLive(
  options: LiveOptions,
  guard: () => Guard | undefined,
  policies: () => PolicySet,
): Live {
  const guarded = () => guard()?.guardedCgroups() ?? [];
  const subjects = () =>
    guarded().map((each) => ({
      cgroup: each.cgroup,
      limitOwner: each.limitOwner,
      limit: each.settings.limit,
      mode: each.settings.mode,
      marks: () => LEVELS.map((name) => ({ name, bytes: each.settings.levelBytes[name] })),
      victims: () => guard()!.candidates(each).map(candidateText),
    }));
  const facts = () => ({
    modes: [...new Set(guarded().map(({ settings }) => settings.mode))],
    policy: policyText(policies()),
    isDryRun: policies().all.some(({ dryRun }) => dryRun),
  });
  return new Live("guard", options, new CgroupSource(subjects, facts));
}

/** `policy process at imminent`, `policy noop`, `3 rules`. */
function policyText({ all }: PolicySet): string {
  const [first, ...others] = all;
  if (first === undefined || others.length > 0) return formatCount(others.length, "rule");
  const level = killLevel(first.actions);
  if (level === undefined) return "policy noop: nothing is killed";
  const action = killActionOf(first.actions[level]);
  return `policy ${action}${level === "imminent" ? "" : ` at ${level}`}`;
}

/** Shows a recording until the user ends it. @param facts the sentence of an event */
export function openReplayLive(
  options: LiveOptions,
  timeline: Timeline,
  facts: (event: AnyEvent) => string | undefined,
): Live {
  return new Live("watch", options, new ReplaySource(new Replay(timeline, facts)));
}

/** More than fits a screen, for the events in the details of a cgroup. */
const MAX_LOG_ENTRIES = 500;
/** Messages printed again after the view: a guard that runs for a month must not flood the terminal. */
const MAX_REPRINTED_MESSAGES = 100;

export class Live {
  readonly #can;
  readonly #terminal;
  readonly #frames;
  readonly #log: LogEntry[] = [];
  #view: View;
  /** The rows of the last round, until they are drawn. */
  #newRows: readonly Row[] | undefined;
  /** The rows on the screen, with the values read for them alone. */
  readonly #drawn = new Map<string, Row>();
  #pollTimer: ReturnType<typeof setTimeout> | undefined;

  /** Prints a message of the time of the view again, once the terminal is restored. */
  readonly #reprints: (() => void)[] = [];
  /** stderr is the terminal of the view; otherwise its messages are written there without delay. */
  readonly #sharesStderr = Deno.stderr.isTerminal();
  readonly #previousOutput;

  #isTerminalLost = false;
  #closing: Promise<void> | undefined;

  constructor(
    command: string,
    private readonly options: LiveOptions,
    private readonly source: Source,
  ) {
    const now = () => performance.now();
    this.#can = capabilitiesOf(options.flags);
    this.#view = { ...firstView(command), since: clockTime(new Date()) };
    this.#frames = createFrameLimiter({
      draw: () => this.#attempt(() => this.#draw()),
      now,
      schedule(act, ms) {
        const timer = setTimeout(act, ms);
        return () => clearTimeout(timer);
      },
    });
    this.#terminal = new Terminal({
      onKey: (key) => this.#attempt(() => this.#pressKey(key)),
      onRedraw: this.#frames.request,
      onLost: () => {
        this.#isTerminalLost = true;
        options.end();
      },
    });
    this.#previousOutput = divertOutput({
      print: (line) => {
        this.#addMessage(line);
        this.#reprintLater(() => print(line));
      },
      printStderr: (text) => {
        this.#addMessage(text);
        if (this.#sharesStderr) this.#reprintLater(() => printStderrRaw(text));
        else this.#writeStderr(text);
      },
    });
    // Deferred: the caller sets its subjects after the constructor returns.
    this.#pollTimer = setTimeout(() => this.#poll(), 0);
  }

  /** Shows an event. Returns false after the view was closed: then the caller prints the event. */
  show(event: OomkitEvent): boolean {
    if (this.#closing) return false;
    this.source.count(event);
    this.#addEntry({ event });
    return true;
  }

  /** Restores the terminal, and prints the messages of the meantime. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    clearTimeout(this.#pollTimer);
    this.#frames.stop();
    await this.#terminal.close();
    // Output to a closed terminal is dropped: it must not fail the command.
    divertOutput(
      this.#isTerminalLost
        ? {
          print() {},
          printStderr: this.#sharesStderr ? () => {} : (text) => this.#writeStderr(text),
        }
        : this.#previousOutput,
    );
    for (const reprint of this.#reprints.slice(-MAX_REPRINTED_MESSAGES)) reprint();
  }

  /** A bug of the view must not end the watch or the guard: the view is closed, and lines are printed. */
  #attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #fail(error: unknown): Promise<void> {
    await this.close();
    const stack = Deno.env.get("OOMKIT_DEBUG") && error instanceof Error ? `\n${error.stack}` : "";
    printStderr(
      `oomkit: the live view failed (a bug), events are printed as lines: ${error}${stack}`,
    );
  }

  async #poll(): Promise<void> {
    if (this.#closing) return;
    try {
      const pause = await this.source.round(this.#view);
      this.#newRows = this.source.rows();
      this.#frames.request();
      if (!this.#closing) this.#pollTimer = setTimeout(() => this.#poll(), pause);
    } catch (error) {
      this.#fail(error);
    }
  }

  #draw(): void {
    const size = this.#terminal.size();
    if (this.#closing || size.columns < 1 || size.rows < 1) return;
    let view = this.#view;
    if (!view.isPaused) {
      const log = this.#log.slice(-MAX_LOG_ENTRIES);
      view = { ...view, log, clock: clockTime(new Date()), ...this.source.facts(MAX_LOG_ENTRIES) };
      if (this.#newRows) view = withRows(view, this.#newRows);
      this.#newRows = undefined;
      this.#drawn.clear();
    }
    const { details } = view;
    // Details that are opened during a pause are read once.
    if (details && (!view.isPaused || !(details.found || details.error))) {
      view = { ...view, details: this.source.details(details) };
    }
    // During a pause a row is read once, when it comes into view.
    const missing = rowsToRead(view, size).filter(({ path }) => !this.#drawn.has(path));
    const read = this.source.readShown(missing);
    for (const row of read) this.#drawn.set(row.path, row);
    if (read.some(({ pressure }) => pressure)) view = { ...view, hasPressure: true };
    const shown = { ...view, rows: view.rows.map((row) => this.#drawn.get(row.path) ?? row) };
    this.#view = { ...view, scroll: scrollOf(shown, size, this.#can) };
    const { scroll } = this.#view;
    this.#terminal.show(screenLines({ ...shown, scroll }, size, this.#can), size);
  }

  #pressKey(key: Key): void {
    if (this.#closing) return;
    const { view, command, move } = updateView(this.#view, key, this.#terminal.size());
    this.#view = view;
    if (move) this.#move(move);
    if (command === "quit") return this.options.end();
    if (command === "suspend") return this.#terminal.suspend();
    if (command === "redraw") this.#terminal.forget();
    this.#frames.request();
  }

  /** Shows another moment of the recording. */
  #move(move: ReplayCommand): void {
    const selected = this.source.control?.(move);
    if (selected !== undefined) this.#view = { ...this.#view, selected };
    clearTimeout(this.#pollTimer);
    this.#poll();
  }

  #addMessage(text: string): void {
    for (const message of text.replace(STYLES, "").split("\n")) this.#addEntry({ message });
  }

  #addEntry(entry: LogEntry): void {
    this.#log.push(entry);
    trim(this.#log, MAX_LOG_ENTRIES);
    this.#frames.request();
  }

  #reprintLater(reprint: () => void): void {
    this.#reprints.push(reprint);
    trim(this.#reprints, MAX_REPRINTED_MESSAGES);
  }

  #writeStderr(text: string): void {
    const diverted = divertOutput(this.#previousOutput);
    printStderrRaw(text);
    divertOutput(diverted);
  }
}

/** Keeps the newest entries. It trims at twice the maximum, because each trim moves all entries. */
function trim(entries: unknown[], max: number): void {
  if (entries.length > 2 * max) entries.splice(0, entries.length - max);
}

function rowsToRead(view: View, size: Size): readonly Row[] {
  const { details, rows } = view;
  return details ? rows.filter(({ path }) => path === details.path) : shownRows(view, size);
}
