/** The live view of a command that follows cgroups: it has the terminal from when it is opened until it is closed. */

import type { OomkitEvent } from "../../core/events/event.ts";
import { type Capabilities, capabilitiesOf, type TerminalFlags } from "../terminal/palette.ts";
import {
  type Diversion,
  divertOutput,
  print,
  printStderr,
  printStderrRaw,
} from "../output/output.ts";
import { clockOf } from "./clock.ts";
import { createPoller, type Subject } from "./poll.ts";
import type { Key } from "./keys.ts";
import { createFrameLimiter } from "../terminal/frame_limiter.ts";
import { updateView } from "./update.ts";
import type { Row } from "./rows.ts";
import { screenLines, scrollOf } from "./screen.ts";
import { openTerminal } from "../terminal/terminal.ts";
import { firstView, type LogEntry, shownRows, type View, withRows } from "./view.ts";

export interface LiveOptions {
  readonly command: string;
  readonly flags: TerminalFlags;
  /** Who is followed now. */
  subjects(): Iterable<Subject>;
  /** The person wants to end, or is gone. */
  end(): void;
}

export interface Live {
  /** False once it is closed: then it is to be printed. */
  show(event: OomkitEvent): boolean;
  /** Gives the terminal back, and prints what was said meanwhile. */
  close(): Promise<void>;
}

/** Of what was told; more than a screen has is for its details. */
const MAX_TOLD = 500;
/** Of what was said: who guards for a month is not to fill a screen in the end. */
const MAX_SAID = 100;

export function openLive({ command, flags, subjects, end }: LiveOptions): Live {
  const can: Capabilities = capabilitiesOf(flags);
  const now = () => performance.now();
  const gather = createPoller(subjects, now);
  const events: LogEntry[] = [];
  const said: (() => void)[] = [];
  let view: View = firstView(command);
  let isClosed = false;
  let isGone = false;
  /** Not shown yet. */
  let latest: readonly Row[] | undefined;
  /** As they are on the screen. */
  const drawn = new Map<string, Row>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  /** To look on must not end what is looked at. */
  const fail = async (error: unknown) => {
    await close();
    const stack = Deno.env.get("OOMKIT_DEBUG") && error instanceof Error ? `\n${error.stack}` : "";
    printStderr(`oomkit: the live view has a bug, lines are printed instead: ${error}${stack}`);
  };
  const guarded = <A extends unknown[]>(action: (...args: A) => void) => (...args: A) => {
    try {
      action(...args);
    } catch (error) {
      fail(error);
    }
  };
  const draw = guarded(() => {
    const size = terminal.size();
    if (isClosed || size.columns < 1 || size.rows < 1) return;
    const { details } = view;
    if (!view.isPaused) {
      view = { ...view, log: events.slice(-MAX_TOLD), clock: clockOf(new Date()) };
      if (latest) view = withRows(view, latest);
      latest = undefined;
    }
    // What was opened while all stands still is read once.
    if (details && (!view.isPaused || !(details.found || details.error))) {
      view = { ...view, details: gather.details(details) };
    }
    if (!view.isPaused) drawn.clear();
    // What stands still is read once, when it comes into sight.
    const fresh = gather.readShown(requested(view, size).filter(({ path }) => !drawn.has(path)));
    for (const row of fresh) drawn.set(row.path, row);
    if (fresh.some(({ pressure }) => pressure)) view = { ...view, hasPressure: true };
    const rows = view.rows.map((row) => drawn.get(row.path) ?? row);
    const shown = { ...view, rows };
    view = { ...view, scroll: scrollOf(shown, size, can) };
    terminal.show(screenLines(shown, size, can), size);
  });
  const pacer = createFrameLimiter({
    draw,
    now,
    schedule(act, ms) {
      const timer = setTimeout(act, ms);
      return () => clearTimeout(timer);
    },
  });
  const takeKey = guarded((key: Key) => {
    if (isClosed) return;
    const { view: next, command } = updateView(view, key, terminal.size());
    view = next;
    if (command === "quit") return end();
    if (command === "suspend") return terminal.suspend();
    if (command === "redraw") terminal.forget();
    pacer.request();
  });
  const terminal = openTerminal({
    onKey: takeKey,
    onRedraw: pacer.request,
    onLost() {
      isGone = true;
      end();
    },
  });
  const keep = (one: LogEntry) => {
    events.push(one);
    // Seldom, as each costs a copy of what is kept.
    if (events.length > 2 * MAX_TOLD) events.splice(0, events.length - MAX_TOLD);
    pacer.request();
  };
  const evaluateLevels = (text: string) =>
    plain(text).split("\n").forEach((talk) => keep({ message: talk }));
  const later = (again: () => void) => {
    said.push(again);
    if (said.length > 2 * MAX_SAID) said.splice(0, said.length - MAX_SAID);
  };
  const here: Diversion = {
    print(line) {
      evaluateLevels(line);
      later(() => print(line));
    },
    printStderr(text) {
      evaluateLevels(text);
      if (isTorn) later(() => printStderrRaw(text));
      else sayElsewhere(text);
    },
  };
  // Who redirected stderr gets what is said there at once.
  const isTorn = Deno.stderr.isTerminal();
  const elsewhere = divertOutput(here);
  const sayElsewhere = (text: string) => {
    const now = divertOutput(elsewhere);
    printStderrRaw(text);
    divertOutput(now);
  };

  const turn = async () => {
    if (isClosed) return;
    try {
      const pause = await gather.round();
      latest = gather.rows();
      pacer.request();
      if (!isClosed) timer = setTimeout(turn, pause);
    } catch (error) {
      fail(error);
    }
  };
  // Not at once: whoever opens it has yet to say whom it follows.
  timer = setTimeout(turn, 0);

  let closing: Promise<void> | undefined;
  const close = () => closing ??= closeOnce();
  const closeOnce = async () => {
    isClosed = true;
    clearTimeout(timer);
    pacer.stop();
    await terminal.close();
    // What nobody can see any more is no reason to fail.
    divertOutput(
      isGone ? { print() {}, printStderr: isTorn ? () => {} : sayElsewhere } : elsewhere,
    );
    for (const again of said.slice(-MAX_SAID)) again();
  };
  return {
    show(event) {
      if (isClosed) return false;
      gather.count(event);
      keep({ event });
      return true;
    },
    close,
  };
}

function requested(view: View, size: { readonly columns: number; readonly rows: number }) {
  const { details, rows } = view;
  if (details === undefined) return shownRows(view, size);
  return rows.filter(({ path }) => path === details.path);
}

// deno-lint-ignore no-control-regex
const plain = (text: string) => text.replace(/\x1b\[[0-9;]*m/g, "");
