/** The view of the screens in screens/. */

import { kill, MIB, row } from "./rows.ts";

const marks = [
  { name: "warn", bytes: 41.6 * MIB },
  { name: "critical", bytes: 57.6 * MIB },
  { name: "imminent", bytes: 62.7 * MIB },
];
const stalled = (avg10: number) => ({ avg10, avg60: 0, avg300: 0, total: 0n });

export const rows = [
  row(`/kubepods/burstable/pod1/${"0123456789ab".padEnd(64, "0")}`, {
    usage: 60 * MIB,
    workingSet: 50 * MIB,
    headroom: 4 * MIB,
    rate: 2 * MIB,
    timeLeft: 2,
    marks,
    mode: "notify",
    history: [10, 20, 40, 50, 60].map((mib) => mib * MIB),
    counts: { hits: 3, ooms: 1, kills: 1, actions: 0 },
    pressure: { some: stalled(12.3), full: stalled(4) },
  }),
  row("/system.slice/日本語データベース.service", {
    rate: 1024 * 100,
    timeLeft: 328,
    history: [30 * MIB, 31 * MIB, undefined, 32 * MIB],
  }),
  row("/evil/\x1b[2J\x1b]0;title\x07\u202e\u200d🚀", {
    usage: 64 * MIB,
    workingSet: 64 * MIB,
    headroom: 0,
    timeLeft: 0,
  }),
  row("/user.slice", {
    usage: 1234 * MIB,
    limit: Infinity,
    headroom: undefined,
    timeLeft: undefined,
  }),
  row("/system.slice/old.service", { isRemoved: true }),
];

export const log = [
  { message: "watching / and all descendants" },
  { event: kill("/evil/\x1b[2J", 4242) },
];

/** Columns, rows, Unicode. */
export const sizes: readonly (readonly [number, number, boolean])[] = [
  [40, 10, true],
  [80, 24, true],
  [80, 24, false],
  [160, 20, true],
  [300, 100, true],
];
