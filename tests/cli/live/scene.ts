/** The views of the screens in screens/. */

import type { Colours } from "../../../cli/terminal/capabilities.ts";
import type { View } from "../../../cli/live/view.ts";
import type { OomkitEvent } from "../../../core/events/event.ts";
import { kill, MIB, row, view } from "./rows.ts";

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

const machine = {
  memory: { total: 15.6 * 1024 * MIB, available: 9.8 * 1024 * MIB },
  pressure: { some: stalled(1.2), full: stalled(0.4) },
  oomKill: 9n,
};

export const watched = view(rows, {
  log,
  machine,
  totals: { hits: 3, ooms: 1, kills: 1, actions: 0 },
});

const armed = {
  ...kill("/kubepods/burstable/api", 0),
  type: "guard_armed",
  ...{ limit: 64 * MIB, limit_owner: "/kubepods/burstable/api", mode: "notify", rule: null },
  ...{ warn: 41.6 * MIB, critical: 57.6 * MIB, imminent: 62.7 * MIB, dry_run: true },
  actions: { warn: [], critical: ["signal:SIGUSR1"], imminent: ["process"] },
} as unknown as OomkitEvent;

const inPods = (path: string, rest: Parameters<typeof row>[1] = {}) =>
  row(`/kubepods/burstable/${path}`, { marks, mode: "notify", ...rest });

/** A guard of cgroups with a common parent; one of them was removed after a kill. */
export const guarded = view([
  inPods("api", { usage: 58 * MIB, headroom: 6 * MIB, rate: MIB, timeLeft: 6 }),
  inPods("api/worker", { history: [20 * MIB, 32 * MIB] }),
  inPods("cache", { usage: 30 * MIB }),
  inPods("batch", {
    isRemoved: true,
    removedFor: 12,
    counts: {
      hits: 0,
      ooms: 0,
      kills: 0,
      actions: 1,
      guardVictim: "python3 (4971) at 60.1M of 64.0M",
    },
  }),
], {
  log: [{ event: armed }, { event: kill("/kubepods/burstable/cache", 4242) }],
  machine,
  command: "guard",
  guard: { modes: ["notify"], policy: "policy process", isDryRun: true },
  totals: { hits: 0, ooms: 1, kills: 1, actions: 1 },
  selected: "/kubepods/burstable/cache",
});

interface Screen {
  readonly shown: View;
  readonly columns: number;
  readonly rows: number;
  readonly unicode?: false;
  readonly colours?: Colours;
}

export const screens: Readonly<Record<string, Screen>> = {
  "20x4": { shown: watched, columns: 20, rows: 4 },
  "40x10": { shown: watched, columns: 40, rows: 10 },
  "80x24": { shown: watched, columns: 80, rows: 24 },
  "80x24-ascii": { shown: watched, columns: 80, rows: 24, unicode: false },
  "160x20": { shown: watched, columns: 160, rows: 20 },
  "300x100": { shown: watched, columns: 300, rows: 100 },
  "guard-80x24": { shown: guarded, columns: 80, rows: 24 },
  "guard-120x40": { shown: guarded, columns: 120, rows: 40 },
  "guard-tree-200x50": { shown: { ...guarded, isTree: true }, columns: 200, rows: 50 },
  "guard-80x24-256": { shown: guarded, columns: 80, rows: 24, colours: 256 },
};
