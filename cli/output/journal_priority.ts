/**
 * Priorities for the journal: sd-daemon(3), `<N>` before a line, which journald takes off. Only where the stream is the journal:
 * systemd.exec(5), JOURNAL_STREAM.
 */

import type { EventType } from "../../core/events/event.ts";

/** As in syslog(3). */
const [ERR, WARNING, NOTICE, INFO] = [3, 4, 5, 6];

const OF_EVENTS: Partial<Record<EventType, number>> = {
  oom_kill: ERR,
  oom_group_kill: ERR,
  oom: WARNING,
  action: WARNING,
  degraded: WARNING,
  level_reached: NOTICE,
  action_skipped: NOTICE,
  threshold: NOTICE,
  restored: NOTICE,
};

export const priorityOf = (type: EventType): number => OF_EVENTS[type] ?? INFO;

/** The line of an event, with its priority where stdout is the journal. */
export const eventLine = (line: string, type: EventType): string =>
  isJournal(1) ? prefixed(line, priorityOf(type)) : line;

/** A message on stderr. Errors begin with the name of the program. */
export const messageLine = (text: string): string =>
  isJournal(2) ? prefixed(text, text.startsWith("oomkit: ") ? ERR : NOTICE) : text;

const prefixed = (text: string, priority: number): string => text.replace(/^/gm, `<${priority}>`);

const known = new Map<number, boolean>();

/** Whether stdout or stderr is the journal. */
export function isJournal(descriptor: 1 | 2): boolean {
  const stream = Deno.env.get("JOURNAL_STREAM");
  if (!stream) return false;
  const before = known.get(descriptor);
  if (before !== undefined) return before;
  const is = deviceAndInode(descriptor) === stream;
  known.set(descriptor, is);
  return is;
}

function deviceAndInode(descriptor: number): string | undefined {
  try {
    const { dev, ino } = Deno.statSync(`/proc/self/fd/${descriptor}`);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}
