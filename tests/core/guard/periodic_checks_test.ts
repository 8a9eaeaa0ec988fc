import assert from "node:assert/strict";
import { Heartbeat } from "../../../core/guard/heartbeat.ts";
import { type PeriodicCheck, PeriodicChecks } from "../../../core/guard/periodic_checks.ts";
import { MAX_MS_BETWEEN_HEARTBEATS } from "../../../core/guard/thread/protocol.ts";

const MINUTE = 60_000;

/** `performance.now` and timers, moved by the test. */
class FakeTime implements Disposable {
  now = 0;
  wakes = 0;
  #next = 1;
  readonly #timers = new Map<number, { readonly at: number; readonly run: () => void }>();
  readonly #real = { now: performance.now, set: setTimeout, clear: clearTimeout };

  constructor() {
    performance.now = () => this.now;
    globalThis.setTimeout = ((run: () => void, ms: number) => {
      this.#timers.set(this.#next, { at: this.now + ms, run });
      return this.#next++;
    }) as typeof setTimeout;
    globalThis.clearTimeout = ((id: number) => void this.#timers.delete(id)) as typeof clearTimeout;
  }

  advance(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= until);
      const first = due.sort(([, a], [, b]) => a.at - b.at)[0];
      if (first === undefined) break;
      const [id, { at, run }] = first;
      this.#timers.delete(id);
      this.now = Math.max(this.now, at);
      this.wakes += 1;
      run();
    }
    this.now = until;
  }

  [Symbol.dispose](): void {
    performance.now = this.#real.now;
    globalThis.setTimeout = this.#real.set;
    globalThis.clearTimeout = this.#real.clear;
  }
}

/** A check that counts its runs. */
function counted(interval: () => number): PeriodicCheck & { runs: number } {
  return {
    runs: 0,
    run() {
      this.runs += 1;
    },
    interval,
  };
}

const fail = (error: unknown) => assert.fail(String(error));

Deno.test("checks with the same interval share one wake-up", () => {
  using time = new FakeTime();
  const checks = [1, 2, 3].map(() => counted(() => 10_000));
  const periodic = new PeriodicChecks(checks, fail);
  time.advance(10 * MINUTE);
  assert.deepEqual(checks.map(({ runs }) => runs), [60, 60, 60]);
  assert.equal(time.wakes, 60);
  periodic.stop();
  time.advance(MINUTE);
  assert.equal(time.wakes, 60);
});

Deno.test("checks of which one was run sooner once share their wake-ups again", () => {
  using time = new FakeTime();
  let isBusy = true;
  const checks = [counted(() => isBusy ? 200 : 10_000), counted(() => 10_000)];
  const periodic = new PeriodicChecks(checks, fail);
  time.advance(200);
  isBusy = false;
  time.advance(10_200);
  assert.deepEqual(checks.map(({ runs }) => runs), [2, 1]);
  time.wakes = 0;
  time.advance(10 * MINUTE);
  assert.equal(time.wakes, 60);
  periodic.stop();
});

Deno.test("no check is run earlier than a twentieth of its interval before it is due", () => {
  using time = new FakeTime();
  const rare = counted(() => 100_000);
  const periodic = new PeriodicChecks([rare, counted(() => 7000)], fail);
  time.advance(94_900);
  assert.equal(rare.runs, 0);
  time.advance(100_000 - 94_900);
  assert.equal(rare.runs, 1);
  periodic.stop();
});

Deno.test("a check with something to do is run within 0.2 s of a wake, and then every 0.2 s", () => {
  using time = new FakeTime();
  let isBusy = false;
  const check = counted(() => isBusy ? 200 : 10_000);
  const periodic = new PeriodicChecks([check], fail);
  time.advance(5000);
  assert.equal(check.runs, 0);
  isBusy = true;
  for (let n = 0; n < 1000; n++) periodic.wake();
  time.advance(200);
  assert.equal(check.runs, 1);
  time.advance(1000);
  assert.equal(check.runs, 6);
  assert.equal(time.wakes, 6);
  isBusy = false;
  time.advance(MINUTE);
  assert.equal(time.wakes, 6 + 1 + 6);
  periodic.stop();
});

Deno.test("a wake without anything to do costs one wake-up", () => {
  using time = new FakeTime();
  const check = counted(() => 10_000);
  const periodic = new PeriodicChecks([check], fail);
  periodic.wake();
  time.advance(9000);
  assert.deepEqual([time.wakes, check.runs], [1, 0]);
  periodic.stop();
});

Deno.test("an error of a check is handed on", () => {
  using time = new FakeTime();
  const errors: unknown[] = [];
  const error = new Error("no");
  const check = {
    run() {
      throw error;
    },
    interval: () => 1000,
  };
  const periodic = new PeriodicChecks([check], (each) => void errors.push(each));
  time.advance(1000);
  assert.deepEqual(errors, [error]);
  periodic.stop();
});

Deno.test("a monitor thread at rest is alive, and one that hangs is not", () => {
  using time = new FakeTime();
  let beats = 0;
  const heartbeat = new Heartbeat(() => beats);
  for (let n = 0; n < 24; n++) {
    // A service manager may ask more often than there is a beat.
    time.advance(MAX_MS_BETWEEN_HEARTBEATS / 2);
    beats += n % 2;
    assert.ok(heartbeat.isAlive());
    heartbeat.check();
  }
  time.advance(6500);
  assert.ok(!heartbeat.isAlive());
  assert.equal(heartbeat.msSinceHeartbeat(), 6500);
  time.advance(23_000);
  heartbeat.check();
  time.advance(500);
  assert.throws(() => heartbeat.check(), /has not responded for 30 s/);
});
