import assert from "node:assert/strict";
import type { EventType } from "../../../core/events/event.ts";
import { type Attempt, Delivery, type DeliveryOptions } from "../../../core/receivers/delivery.ts";

const later: Attempt = { is: "later", why: "it answered 500" };
const done: Attempt = { is: "done" };

interface Receiver {
  readonly delivery: Delivery<string>;
  send(item: string, type?: EventType): void;
  /** Accepted items, in their order. */
  readonly taken: string[];
  readonly attempts: string[];
  readonly lines: string[];
  /** Resolves when no item is pending; fails after 1000 attempts. */
  idle(): Promise<void>;
}

/** Its pauses between attempts are one turn of the event loop. */
function receiver(
  answer: (item: string, attempts: number) => Attempt,
  options: Partial<DeliveryOptions<string>> = {},
): Receiver {
  const [taken, attempts, lines]: string[][] = [[], [], []];
  const delivery = new Delivery<string>({
    what: "report to it",
    deliver(item) {
      attempts!.push(item);
      const result = answer(item, attempts!.length);
      if (result.is === "done") taken!.push(item);
      return Promise.resolve(result);
    },
    warn: (line) => void lines!.push(line),
    random: () => 0.5,
    sleep: () => new Promise((resolve) => setTimeout(resolve)),
    closeWithin: 100,
    ...options,
  });
  return {
    ...{ delivery, taken: taken!, attempts: attempts!, lines: lines! },
    send: (item, type = "threshold") => delivery.send(item, type),
    async idle() {
      while (delivery.counts().pending > 0 && attempts!.length < 1000) {
        await new Promise((resolve) => setTimeout(resolve));
      }
      if (delivery.counts().pending === 0) return;
      await delivery.close();
      assert.fail("it is retried for ever");
    },
  };
}

Deno.test("an item that alone fails does not block the others, and is dropped with a warning", async () => {
  const rejected: string[] = [];
  const to = receiver((item) => item === "bad" ? later : done, {
    onRejected: (item) => void rejected.push(item),
  });
  ["a", "bad", "b", "c"].forEach((item) => to.send(item));
  await to.idle();
  assert.deepEqual(to.taken, ["a", "b", "c"]);
  assert.deepEqual(to.delivery.counts(), { pending: 0, sent: 3, dropped: 1, failed: 10 });
  assert.deepEqual(rejected, ["bad"]);
  assert.deepEqual(to.lines, [
    "cannot report to it: it answered 500",
    "can report to it again, after 5 failed attempts",
    "cannot report to it: it answered 500",
    "could not report to it: 1 report was dropped (1 threshold) after 10 failed attempts, while others were delivered: it answered 500",
  ]);
  await to.delivery.close();
  assert.equal(to.lines.length, 4, "dropped items are reported once");
});

Deno.test("the kill in one cgroup does not wait for those of an OOM loop in another, and is not dropped for them", async () => {
  const gate = Promise.withResolvers<void>();
  const taken: string[] = [];
  const delivery = new Delivery<string>({
    what: "report to it",
    async deliver(item) {
      await gate.promise;
      taken.push(item);
      return done;
    },
    warn: () => {},
    maxQueuedPriority: 50,
  });
  for (let n = 0; n < 20; n++) delivery.send("loop", "oom_kill", true, "/loop");
  for (const item of ["a1", "a2"]) delivery.send(item, "oom_kill", true, "/a");
  for (let n = 0; n < 100; n++) delivery.send("loop", "oom_kill", true, "/loop");
  delivery.send("b1", "oom_kill", true, "/b");
  gate.resolve();
  await delivery.close();
  assert.deepEqual(taken.slice(0, 6), ["loop", "a1", "b1", "loop", "a2", "loop"]);
  assert.deepEqual([taken.length, delivery.counts().dropped], [51, 72]);
});

Deno.test("an outage loses nothing, however often each item was tried", async () => {
  const to = receiver((_, attempts) => attempts <= 100 ? later : done);
  const items = Array.from({ length: 7 }, (_, at) => `${at}`);
  items.forEach((item) => to.send(item));
  await to.idle();
  assert.deepEqual([...to.taken].sort(), items);
  assert.deepEqual(to.delivery.counts(), { pending: 0, sent: 7, dropped: 0, failed: 100 });
  await to.delivery.close();
});

Deno.test("a short second outage does not drop an item that the first one moved to the back", async () => {
  // "a" uses up its turn and moves to the back, "b" is delivered, then the receiver fails again.
  const to = receiver((_, attempts) =>
    attempts <= 5 || (attempts > 6 && attempts <= 10) ? later : done
  );
  ["a", "b", "c"].forEach((item) => to.send(item));
  await to.idle();
  assert.deepEqual(to.taken, ["b", "c", "a"]);
  await to.delivery.close();
});

Deno.test("the order is kept through a short outage", async () => {
  const to = receiver((_, attempts) => attempts <= 4 ? later : done);
  ["a", "b", "c"].forEach((item) => to.send(item));
  await to.idle();
  assert.deepEqual(to.taken, ["a", "b", "c"]);
  await to.delivery.close();
});

Deno.test("the only queued item is retried until another one arrives", async () => {
  const arrived = Promise.withResolvers<void>();
  const to = receiver((item, attempts) => {
    if (attempts === 12) arrived.resolve();
    return item === "bad" ? later : done;
  });
  to.send("bad");
  await arrived.promise;
  assert.equal(to.delivery.counts().dropped, 0);
  to.send("a");
  await to.idle();
  assert.deepEqual(to.taken, ["a"]);
  assert.equal(to.delivery.counts().dropped, 1);
  await to.delivery.close();
});

Deno.test("a later item is delivered after one that was moved to the back", async () => {
  const to = receiver((_, attempts) => {
    if (attempts === 6) to.send("late");
    return attempts <= 5 ? later : done;
  });
  ["a", "b"].forEach((item) => to.send(item));
  await to.idle();
  assert.deepEqual(to.taken, ["b", "a", "late"]);
  await to.delivery.close();
});

Deno.test("a full queue drops the oldest item, even when it was moved to the back", async () => {
  const to = receiver((_, attempts) => {
    if (attempts === 6) to.send("d");
    return attempts <= 6 ? later : done;
  }, { maxQueued: 2 });
  // The first is in flight immediately.
  ["a", "b", "c"].forEach((item) => to.send(item));
  await to.idle();
  assert.deepEqual(to.taken, ["b", "c", "d"]);
  assert.equal(to.delivery.counts().dropped, 1);
  await to.delivery.close();
});

Deno.test("with keepsOrder the order is kept, however long the outage", async () => {
  const to = receiver((_, attempts) => attempts <= 50 ? later : done, { keepsOrder: true });
  ["a", "b", "c"].forEach((item) => to.send(item));
  await to.idle();
  assert.deepEqual(to.taken, ["a", "b", "c"]);
  await to.delivery.close();
});

Deno.test("the order is kept through an outage of any length", async () => {
  const to = receiver((_, attempts) => attempts <= 100 ? later : done);
  const items = Array.from({ length: 7 }, (_, at) => `${at}`);
  for (const item of items) {
    to.send(item);
    to.send(`kill ${item}`, "oom_kill");
  }
  await to.idle();
  const [kills, others] = [true, false].map((isKill) =>
    to.taken.filter((item) => item.startsWith("kill ") === isKill)
  );
  assert.deepEqual([kills, others], [items.map((item) => `kill ${item}`), items]);
  await to.delivery.close();
});

Deno.test("a kill does not wait for the attempt, the pauses or the queue of other events", async () => {
  const never = Promise.withResolvers<Attempt>();
  const taken: string[] = [];
  const delivery = new Delivery<string>({
    what: "report to it",
    deliver(item) {
      if (item !== "kill") return never.promise;
      taken.push(item);
      return Promise.resolve(done);
    },
    warn: () => {},
    closeWithin: 0,
  });
  for (let n = 0; n < 2000; n++) delivery.send(`${n}`, "threshold");
  delivery.send("kill", "oom_kill");
  await Promise.resolve();
  assert.deepEqual(taken, ["kill"]);
  const closed = delivery.close();
  await new Promise((resolve) => setTimeout(resolve));
  never.resolve(later);
  await closed;
});

Deno.test("a flood of other events drops no kill, and what is dropped is reported by type", async () => {
  const gate = Promise.withResolvers<void>();
  const taken: string[] = [];
  const lines: string[] = [];
  const delivery = new Delivery<string>({
    what: "report to it",
    async deliver(item) {
      await gate.promise;
      taken.push(item);
      return done;
    },
    warn: (line) => void lines.push(line),
    maxQueued: 10,
  });
  for (const type of ["oom_kill", "oom_group_kill", "action"] as const) {
    for (let n = 0; n < 100; n++) {
      delivery.send(`${type} ${n}`, type);
      delivery.send("flood", n % 4 === 0 ? "oom" : "threshold");
    }
  }
  const { dropped } = delivery.counts();
  assert.equal(dropped, 289);
  gate.resolve();
  await delivery.close();
  assert.equal(taken.filter((item) => item !== "flood").length, 300);
  assert.equal([...delivery.droppedByType().values()].reduce((sum, count) => sum + count), 289);
  assert.ok(!delivery.droppedByType().has("oom_kill"));
  assert.match(lines.at(-1)!, /289 reports were dropped \(\d+ threshold, \d+ oom\)$/);
});

Deno.test("a kill that fails while others are delivered is never given up, and does not hold them up", async () => {
  let attempts = 0;
  const to = receiver((item) => item === "bad" && ++attempts < 40 ? later : done);
  for (const item of ["a", "bad", "b", "c"]) to.send(item, "oom_kill");
  while (to.attempts.length < 60 && to.taken.length < 3) {
    await new Promise((resolve) => setTimeout(resolve));
  }
  assert.deepEqual(to.taken, ["a", "b", "c"]);
  // Its first turn, and one attempt after the others.
  assert.ok(attempts <= 6, `${attempts} attempts`);
  to.send("d", "oom_kill");
  await to.idle();
  assert.deepEqual(to.taken, ["a", "b", "c", "d", "bad"]);
  assert.ok(to.attempts.indexOf("d") <= 11, "after one more attempt, not after a whole turn");
  assert.deepEqual(to.delivery.counts().dropped, 0);
  await to.delivery.close();
});

Deno.test("with keepsOrder kills stay in their place, and a flood does not drop them", async () => {
  const gate = Promise.withResolvers<void>();
  const taken: string[] = [];
  const delivery = new Delivery<string>({
    what: "write",
    async deliver(item) {
      await gate.promise;
      taken.push(item);
      return done;
    },
    warn: () => {},
    keepsOrder: true,
    maxQueued: 3,
    maxQueuedPriority: 2,
  });
  delivery.send("in flight", "threshold");
  delivery.send("kill 1", "oom_kill");
  for (let n = 0; n < 5; n++) delivery.send(`${n}`, "threshold");
  delivery.send("kill 2", "oom_kill");
  delivery.send("5", "threshold");
  gate.resolve();
  await delivery.close();
  assert.deepEqual(taken, ["in flight", "kill 1", "3", "4", "kill 2", "5"]);
});

Deno.test("after an outage of an hour every kill is delivered, in order, whatever else has happened", async () => {
  let sleptMs = 0;
  let sent = 0;
  const taken: string[] = [];
  const delivery = new Delivery<string>({
    what: "report to it",
    deliver(item) {
      if (sleptMs < 3_600_000) return Promise.resolve(later);
      taken.push(item);
      return Promise.resolve(done);
    },
    warn: () => {},
    random: () => 0.5,
    sleep(ms) {
      sleptMs += ms;
      // During the outage ten OOMs and ten crossings for each kill.
      for (let n = 0; n < 10 && sent < 3000; n++) {
        delivery.send(`${sent++}`, "oom_kill");
        for (let more = 0; more < 10; more++) delivery.send("oom", "oom");
        for (let more = 0; more < 10; more++) delivery.send("crossing", "threshold");
      }
      return new Promise((resolve) => setTimeout(resolve));
    },
  });
  delivery.send("first", "threshold");
  delivery.send(`${sent++}`, "oom_kill");
  while (delivery.counts().pending > 0) await new Promise((resolve) => setTimeout(resolve));
  const kills = taken.filter((item) => /^\d+$/.test(item));
  assert.ok(sent > 1000, `${sent} kills`);
  assert.deepEqual(kills, Array.from({ length: sent }, (_, n) => `${n}`));
  assert.ok(delivery.counts().dropped > 0);
  await delivery.close();
});
