import assert from "node:assert/strict";
import {
  type BenchRecord,
  compared,
  comparedWith,
  describeLast,
  lastOf,
  parseRecords,
  withRecord,
} from "../../scripts/bench/records.ts";
import { tableLines } from "../../scripts/bench/statistics.ts";

const here = {
  commit: "abc",
  program: "oomkit 0.1.0",
  kernel: "6.18",
  cpu: "a CPU",
  cores: 2,
  deno: "2.7.11",
};

const summary = { median: 10, p95: 12, max: 13, runs: 5 };

function record(part: Partial<BenchRecord> = {}): BenchRecord {
  const rows = [{ what: "a", unit: "ms", ...summary }];
  return { bench: "idle", at: "2026-01-01T00:00:00.000Z", ...here, load: 0.5, rows, ...part };
}

Deno.test("a run replaces the last record of its benchmark on that machine", () => {
  const other = record({ kernel: "6.1" });
  const another = record({ bench: "sweep" });
  const added = record({ commit: "def", at: "2026-01-02T00:00:00.000Z" });
  const all = withRecord([record(), other, another], added);
  assert.deepEqual(all, [other, added, another]);
  assert.deepEqual(parseRecords(all.map((each) => `${JSON.stringify(each)}\n`).join("")), all);
});

Deno.test("a run is compared with the last record of its own machine, else of any other, and says which", () => {
  const mine = record();
  const theirs = record({ kernel: "6.1", at: "2026-02-01T00:00:00.000Z" });
  assert.equal(lastOf([mine, theirs], "idle", here), mine);
  assert.equal(lastOf([theirs], "idle", here), theirs);
  assert.equal(lastOf([theirs], "sweep", here), undefined);
  assert.doesNotMatch(describeLast(mine, here), /another/);
  assert.match(describeLast(theirs, here), /another kernel 6\.1/);
  assert.match(describeLast(undefined, here), /--record/);
});

Deno.test("a rise within the spread of the runs is not worse", () => {
  const now = (median: number, p95: number) => compared({ ...summary, median, p95 }, summary);
  assert.deepEqual(now(5, 5), { ratio: 0.5, isWorse: false });
  assert.deepEqual(now(12, 12), { ratio: 1.2, isWorse: false });
  assert.deepEqual(now(13, 13), { ratio: 1.3, isWorse: true });
  assert.deepEqual(now(13, 17), { ratio: 1.3, isWorse: false });
  const steady = { ...summary, p95: 10 };
  assert.equal(compared({ ...summary, median: 11, p95: 11 }, steady).isWorse, false);
  assert.equal(compared({ ...summary, median: 12, p95: 12 }, steady).isWorse, true);
});

Deno.test("a table shows each row's ratio to the last record, and none for a new row", () => {
  const rows = [{ what: "a", summary: { ...summary, median: 20, p95: 21 } }, {
    what: "new",
    summary,
  }];
  const lines = tableLines("idle", "ms", rows, comparedWith(record(), "ms"));
  assert.match(lines[0]!, /runs +last$/);
  assert.match(lines[1]!, /2\.00 ×!$/);
  assert.match(lines[2]!, /5$/);
  const otherUnit = tableLines("idle", "µs", rows, comparedWith(record(), "µs"));
  assert.doesNotMatch(otherUnit[1]!, /×/);
});
