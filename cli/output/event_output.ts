/** Prints events: to the journal as entries with fields, if it takes them at once, and otherwise as lines. */

import { openJournald } from "../../core/control/journald.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import { journaldEntry } from "../../core/events/journald_entry.ts";
import { isJournal, priorityOf } from "./journal_priority.ts";
import { print, printStderr } from "./output.ts";

let journald: ReturnType<typeof openJournald>;

export function printEvent(line: string, event: OomkitEvent): void {
  if (!isJournal(1) || !sendToJournald(line, event)) print(line, event.type);
}

export function printEventOnStderr(line: string, event: OomkitEvent): void {
  if (!isJournal(2) || !sendToJournald(line, event)) printStderr(line);
}

function sendToJournald(line: string, event: OomkitEvent): boolean {
  journald ??= openJournald();
  return journald?.send(journaldEntry(event, line, priorityOf(event.type))) === true;
}
