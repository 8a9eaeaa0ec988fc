/** An event as an entry of the journal, with fields: systemd's docs/JOURNAL_NATIVE_PROTOCOL.md. */

import { encodeName } from "../names.ts";
import { variablesOf } from "./environment.ts";
import type { EventType, OomkitEvent } from "./event.ts";

/** systemd.journal-fields(7), MESSAGE_ID. Documented in docs/reporting.md; they never change. */
export const MESSAGE_IDS: Readonly<Record<EventType, string>> = {
  threshold: "18dc193de59e4d0a870458c83b06e056",
  pressure: "798876d4372d426c90788ebff69cc143",
  high: "f31b443d85d84e95b9697f1a68b362fb",
  max: "f7b9ba40f5954b9a852a168e65d52145",
  oom: "18d93885874548e5a6a111f0f38f14d1",
  oom_kill: "4c882912844e4537a8cc64600397a545",
  oom_group_kill: "d08ef6d1948c49a4af48e8d4bb559885",
  guard_armed: "d7929bd9c5cc4bcda97b8baf410cd029",
  level_reached: "f0b415c63493440d8f6bc36b76845ad1",
  action: "c1fb835ace834f38ae40555b5bee8bb1",
  action_skipped: "e2f68b43b5d44a66b6b9e29156b1e3f8",
  restored: "7e21fd15fed643768a6f7f9780c0f8f2",
  limit_changed: "a5e7695b31d94e45af54a889f05cc4b8",
  cgroup_created: "36332d6f83ac4faf9d3ec923769f6966",
  cgroup_removed: "de9f3bcda99a4e7c82c1b2b513c7d8c1",
  degraded: "ff94709456bd4cc9b2992a27a322fc03",
  summary: "1e033c3594ca45fdb270a34a00381f94",
};

/** As systemd gives it to the output of a service. */
const LOG_DAEMON = "3";

/** @param message what would be printed of the event. @param priority as in syslog(3). */
export function journaldEntry(
  event: OomkitEvent,
  message: string,
  priority: number,
): Uint8Array<ArrayBuffer> {
  const fields = {
    MESSAGE: message,
    PRIORITY: String(priority),
    MESSAGE_ID: MESSAGE_IDS[event.type],
    SYSLOG_IDENTIFIER: "oomkit",
    SYSLOG_FACILITY: LOG_DAEMON,
    ...variablesOf(event, "OOMKIT_"),
  };
  return joined(Object.entries(fields).flatMap(([name, value]) => field(name, value)));
}

function field(name: string, value: string): Uint8Array<ArrayBuffer>[] {
  if (!value.includes("\n")) return [encodeName(`${name}=${value}\n`)];
  // A value of several lines has its size before it, as a little-endian u64.
  const bytes = encodeName(value);
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, BigInt(bytes.length), true);
  return [encodeName(`${name}\n`), size, bytes, encodeName("\n")];
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
