import assert from "node:assert/strict";
import {
  cellName,
  cellsOf,
  parseRaceOptions,
  raceLines,
  raceTables,
  type Run,
  targetLines,
} from "../../scripts/bench/race_results.ts";

const MIB = 1024 ** 2;

const won: Run = {
  limit: 64 * MIB,
  threshold: 62 * MIB,
  kernelKills: 0,
  killed: 1,
  isStuck: false,
  peak: 63 * MIB,
  signalMs: 0.2,
  lastPage: 0.1,
  free: 3,
};
const lost: Run = {
  ...won,
  kernelKills: 1,
  killed: 0,
  peak: 64 * MIB,
  signalMs: undefined,
  lastPage: undefined,
  free: undefined,
};
const [cell] = cellsOf(1, parseRaceOptions(["--only", "64,unthrottled,idle,notify"]));

Deno.test("a race is of all cells, or of those that have the words of each kind that is named", () => {
  const names = (version: 1 | 2, only: string) =>
    cellsOf(version, { only: only.split(","), isOfPeers: false })
      .map((each) => `${each.mode} ${cellName(each, 2)}`);
  assert.equal(cellsOf(1, parseRaceOptions([])).length, 36);
  assert.deepEqual(names(1, "512,10,100,hold"), [
    "hold 512 MiB, 10 MiB/s",
    "hold 512 MiB, 100 MiB/s",
  ]);
  assert.deepEqual(names(2, "busy,throttle"), [
    "throttle 64 MiB, unthrottled, 4 busy processes on 2 cores",
  ]);
  assert.deepEqual(names(2, "default,fifty"), names(2, "throttle,fifty"));
  assert.deepEqual(names(1, "default,busy"), names(1, "hold-near-limit,busy"));
  assert.throws(() => names(1, "throttle"), /cannot race "throttle" on cgroup v1/);
});

Deno.test("peers race in the place of a guard, on v1 only those that read it", () => {
  const peers = (version: 1 | 2) =>
    new Set(cellsOf(version, parseRaceOptions(["--peers"])).map(({ mode }) => mode));
  assert.deepEqual([...peers(1)], ["earlyoom"]);
  assert.deepEqual([...peers(2)], ["earlyoom", "oomd", "systemd-oomd"]);
  assert.throws(() => cellsOf(2, parseRaceOptions(["--peers", "--only=throttle"])), /known are/);
});

Deno.test("a race takes a number of runs, and nothing that it does not know", () => {
  assert.deepEqual(parseRaceOptions(["--runs", "5", "--only=64"]), {
    runs: 5,
    only: ["64"],
    isLive: false,
    isOfPeers: false,
  });
  assert.equal(parseRaceOptions(["--live"]).isLive, true);
  assert.equal(parseRaceOptions([]).runs, 30);
  assert.throws(() => parseRaceOptions(["--runs", "0"]), /takes a whole number/);
  assert.equal(parseRaceOptions(["--beside", "io"]).beside, "io");
  assert.throws(() => parseRaceOptions(["--beside", "all"]), /known are cpu4, cpu8, io, guard/);
  assert.throws(() => parseRaceOptions(["--fast"]), /race takes --runs, --only, --beside/);
});

Deno.test("later races are compared by each cell's times, of the runs in which they are known", () => {
  const tables = raceTables([{ cell: cell!, guarded: [won, lost], alone: [] }], 2);
  const all = { median: 0.1, p95: 0.1, max: 0.1, runs: 1 };
  assert.deepEqual(tables[0]!.rows, [
    { what: "crossing → last page: notify, 64 MiB, unthrottled", summary: all },
  ]);
  assert.deepEqual(raceTables([{ cell: cell!, guarded: [lost], alone: [] }], 2)[0]!.rows, []);
});

Deno.test("the used part of the margin is unknown once usage was at the limit", () => {
  const row = (guarded: Run[]) => raceLines([{ cell: cell!, guarded, alone: [] }], 1, 2).at(-1)!;
  assert.match(row([won, won]), /2\/2 +0 +1 +1\.00 of 2\.00 MiB/);
  assert.match(row([won, lost]), /1\/2 +1 +0–1 +unknown, over 2\.00 MiB/);
});

Deno.test("a kill by the kernel misses the target, and so does a run in which no process is killed", () => {
  const lines = (guarded: Run[]) =>
    targetLines([{ cell: cell!, guarded, alone: [{ ...lost, free: 5 }] }], ["notify"], true);
  assert.equal(lines([won])[0], "the kernel's kills in 1 runs: 0 (target 0: met)");
  assert.match(lines([won]).at(-1)!, /3\.00 ms \(target 5 ms: met\)/);
  assert.match(lines([won, lost])[0]!, /in 2 runs: 1 \(target 0: missed\)/);
  assert.match(
    lines([{ ...won, killed: 0, isStuck: true }])[0]!,
    /in 1 no process was killed in time/,
  );
  assert.match(lines([{ ...won, killed: 0 }])[0]!, /in 1 the process ended and no kill/);
});
