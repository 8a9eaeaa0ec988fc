import assert from "node:assert/strict";
import { type Boot, coverageOf } from "../../../core/history/coverage.ts";
import type { Gap, PastKill, ReadLog } from "../../../core/history/log_kills.ts";

const BOOTED = 1_000_000;

function log(kind: ReadLog["kind"], from: number, ...reasons: Gap["reason"][]): ReadLog {
  const gaps = reasons.map((reason) => ({ reason, message: "" }));
  return { kind, name: kind, lines: 9, kills: [], from, to: 2 * BOOTED, gaps, repeated: 0 };
}

const kill = (more: Partial<PastKill>): PastKill => ({
  victim: {
    pid: 1,
    comm: "x",
    uid: null,
    anon_rss: null,
    file_rss: null,
    shmem_rss: null,
    oom_score_adj: null,
  },
  scope: "cgroup",
  sources: ["kmsg"],
  ...more,
});

const boot = (more: Partial<Boot> = {}): Boot => ({
  boot: "b",
  bootedAt: BOOTED,
  counted: 5n,
  since: undefined,
  ...more,
});

const kmsg = log("kmsg", BOOTED);
const full = log("kmsg", BOOTED + 500, "overwritten");
const journal = log("journal", BOOTED - 900);
const since = BOOTED + 700;

for (
  const [name, logs, more, mayMiss] of [
    ["a ring buffer that begins at the boot is whole", [kmsg], {}, false],
    ["one that was overwritten is not", [full], {}, true],
    ["unless the kernel counted no more kills than the logs have", [full], { counted: 0n }, false],
    ["without a counter it is not known", [full], { counted: undefined }, true],
    ["one that reaches back to --since is whole enough", [full], { since }, false],
    ["one that does not is not", [full], { since: BOOTED + 100 }, true],
    ["a journal that reaches back is enough", [full, journal], { since: BOOTED - 100 }, false],
    ["one with lost lines is not", [log("journal", 0, "lost_lines")], { since }, true],
    ["but the ring buffer makes up for it", [log("journal", 0, "lost_lines"), full], {
      since,
    }, false],
    ["one with cut lines is not enough", [log("kmsg", BOOTED, "cut_lines")], {}, true],
    ["the begin of the boot is enough for an earlier --since", [kmsg], { since: 0 }, false],
    ["a file does not show that this machine had no kill", [log("file", 0)], { since }, true],
  ] as [string, ReadLog[], Partial<Boot>, boolean][]
) {
  Deno.test(`coverage: ${name}`, () => {
    assert.equal(coverageOf(logs, [], boot(more)).mayMissKills, mayMiss);
  });
}

Deno.test("kills of this boot that the kernel counted and no log has are counted, those of other boots are not among them", () => {
  const kills = [
    kill({ boot: "b" }),
    kill({ boot: "a" }),
    // Of a file, by the time.
    kill({ at: BOOTED + 1 }),
    kill({ at: BOOTED - 1 }),
  ];
  const repeated = { ...kmsg, repeated: 1 };
  const { unloggedKills, gaps } = coverageOf([repeated], kills, boot());
  assert.equal(unloggedKills, 2);
  assert.deepEqual(gaps.map(({ reason, count }) => [reason, count]), [
    ["earlier_boots", undefined],
    ["not_logged", 2],
  ]);
});

Deno.test("with a journal that is read in part the counter is not compared", () => {
  assert.equal(coverageOf([journal], [], boot({ since })).unloggedKills, 0);
  assert.equal(coverageOf([journal], [], boot({ since: BOOTED - 1 })).unloggedKills, 5);
  assert.equal(coverageOf([kmsg], [], boot({ since })).unloggedKills, 5);
});

Deno.test("earlier boots are a gap without a journal, unless --since is in this boot", () => {
  const reasons = (logs: ReadLog[], since?: number) =>
    coverageOf(logs, [], boot({ since, counted: 0n })).gaps.map(({ reason }) => reason);
  assert.deepEqual(reasons([kmsg]), ["earlier_boots"]);
  assert.deepEqual(reasons([kmsg], BOOTED - 1), ["earlier_boots"]);
  assert.deepEqual(reasons([kmsg], since), []);
  assert.deepEqual(reasons([kmsg, journal]), []);
});
