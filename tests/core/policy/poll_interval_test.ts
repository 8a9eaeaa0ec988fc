import assert from "node:assert/strict";
import fc from "fast-check";
import {
  fallbackPoll,
  machinePollInterval,
  maxPollInterval,
  nextFullReadAt,
  nextPollIn,
} from "../../../core/policy/poll_interval.ts";

const MIB = 1024 ** 2;

Deno.test("an idle cgroup is polled every 50 ms, and one of many at least every second", () => {
  assert.equal(maxPollInterval(1), 50);
  assert.equal(maxPollInterval(100), 50);
  assert.equal(maxPollInterval(1000), 500);
  assert.equal(maxPollInterval(1_000_000), 1000);
});

Deno.test("a cgroup that does not grow, or has no threshold above, is polled as rarely as allowed", () => {
  assert.equal(nextPollIn(MIB, 0, 50), 50);
  assert.equal(nextPollIn(MIB, -MIB, 50), 50);
  assert.equal(nextPollIn(Infinity, MIB, 50), 50);
});

Deno.test("the next poll comes after half the time to the threshold, but no sooner than a timer can", () => {
  assert.equal(nextPollIn(10 * MIB, 100 * MIB, 1000), 50);
  assert.equal(nextPollIn(1, 100 * MIB, 1000), 5);
  assert.equal(nextPollIn(0, 100 * MIB, 1000), 5);
});

const distance = fc.oneof(fc.double({ min: 0, noNaN: true }), fc.constant(Infinity));
const rate = fc.double({ noNaN: true, noDefaultInfinity: true });
const count = fc.integer({ min: 1, max: 100_000 });

Deno.test("a poll never comes later than the longest interval, nor sooner than 5 ms", () => {
  fc.assert(fc.property(distance, rate, count, (distance, rate, count) => {
    const longest = maxPollInterval(count);
    const next = nextPollIn(distance, rate, longest);
    assert.ok(next >= 5 && next <= longest, `${next} ms`);
  }));
});

Deno.test("a nearer threshold or a higher rate never means a later poll", () => {
  const pair = fc.tuple(distance, distance).map((both) => both.sort((a, b) => a - b));
  fc.assert(fc.property(pair, rate, rate, ([near, far], one, other) => {
    const [slow, fast] = [Math.min(one, other), Math.max(one, other)];
    assert.ok(nextPollIn(near!, one, 1000) <= nextPollIn(far!, one, 1000));
    assert.ok(nextPollIn(near!, fast, 1000) <= nextPollIn(near!, slow, 1000));
  }));
});

Deno.test("steady growth is polled before it crosses, however near it starts", () => {
  const bytes = fc.integer({ min: MIB, max: 1024 * MIB });
  fc.assert(fc.property(bytes, bytes, (distance, rate) => {
    let left = distance;
    for (let wait = nextPollIn(left, rate, 50); wait > 5; wait = nextPollIn(left, rate, 50)) {
      left -= rate * wait / 1000;
      assert.ok(left > 0, `crossed ${-left} bytes before a poll`);
    }
  }));
});

Deno.test("the machine is read at half of the time in which all CPUs could fill it, within bounds", () => {
  const GIB = 1024 ** 3;
  assert.equal(machinePollInterval(5 * GIB, 1), 1000);
  assert.equal(machinePollInterval(5 * GIB, 2), 500);
  assert.equal(machinePollInterval(5 * GIB, 64), 250, "of 4 CPUs at most");
  assert.equal(machinePollInterval(500 * GIB, 1), 5000);
  assert.equal(machinePollInterval(0, 1), 10);
  assert.equal(machinePollInterval(-GIB, 1), 10);
});

Deno.test("a few cgroups that are read in full equally often share their reads, whenever each began", () => {
  const times = [0, 1, 40.5, 99.9].map((now) => nextFullReadAt(now, 100, 30));
  assert.deepEqual(times, [100, 100, 100, 100]);
});

Deno.test("reads of many cgroups in full stay apart, each at its interval", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 10_000 }), rate, (count, at) => {
    const interval = fallbackPoll(count);
    const first = nextFullReadAt(Math.abs(at) % 1e6, interval, count);
    const second = nextFullReadAt(first + 0.5, interval, count);
    assert.ok(Math.abs(second - first - interval) < 1e-3, `${second - first} ms`);
  }));
  const times = Array.from({ length: 1000 }, (_, at) => nextFullReadAt(2 * at, 2000, 1000));
  assert.equal(new Set(times).size, 20);
});
