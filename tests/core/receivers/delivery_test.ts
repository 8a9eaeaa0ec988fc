import assert from "node:assert/strict";
import { type Attempt, Delivery, type DeliveryOptions } from "../../../core/receivers/delivery.ts";

const later: Attempt = { is: "later", why: "it answered 500" };
const done: Attempt = { is: "done" };

interface Receiver {
  readonly delivery: Delivery<string>;
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
  ["a", "bad", "b", "c"].forEach((item) => to.delivery.send(item));
  await to.idle();
  assert.deepEqual(to.taken, ["a", "b", "c"]);
  assert.deepEqual(to.delivery.counts(), { pending: 0, sent: 3, dropped: 1, failed: 10 });
  assert.deepEqual(rejected, ["bad"]);
  assert.deepEqual(to.lines, [
    "cannot report to it: it answered 500",
    "can report to it again, after 5 failed attempts",
    "cannot report to it: it answered 500",
    "could not report to it: 1 report was dropped after 10 failed attempts, while others were delivered: it answered 500",
  ]);
  await to.delivery.close();
  assert.equal(to.lines.length, 4, "dropped items are reported once");
});

Deno.test("an outage loses nothing, however often each item was tried", async () => {
  const to = receiver((_, attempts) => attempts <= 100 ? later : done);
  const items = Array.from({ length: 7 }, (_, at) => `${at}`);
  items.forEach((item) => to.delivery.send(item));
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
  ["a", "b", "c"].forEach((item) => to.delivery.send(item));
  await to.idle();
  assert.deepEqual(to.taken, ["b", "c", "a"]);
  await to.delivery.close();
});

Deno.test("the order is kept through a short outage", async () => {
  const to = receiver((_, attempts) => attempts <= 4 ? later : done);
  ["a", "b", "c"].forEach((item) => to.delivery.send(item));
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
  to.delivery.send("bad");
  await arrived.promise;
  assert.equal(to.delivery.counts().dropped, 0);
  to.delivery.send("a");
  await to.idle();
  assert.deepEqual(to.taken, ["a"]);
  assert.equal(to.delivery.counts().dropped, 1);
  await to.delivery.close();
});

Deno.test("a later item is delivered after one that was moved to the back", async () => {
  const to = receiver((_, attempts) => {
    if (attempts === 6) to.delivery.send("late");
    return attempts <= 5 ? later : done;
  });
  ["a", "b"].forEach((item) => to.delivery.send(item));
  await to.idle();
  assert.deepEqual(to.taken, ["b", "a", "late"]);
  await to.delivery.close();
});

Deno.test("a full queue drops the oldest item, even when it was moved to the back", async () => {
  const to = receiver((_, attempts) => {
    if (attempts === 6) to.delivery.send("d");
    return attempts <= 6 ? later : done;
  }, { maxQueued: 2 });
  // The first is in flight immediately.
  ["a", "b", "c"].forEach((item) => to.delivery.send(item));
  await to.idle();
  assert.deepEqual(to.taken, ["b", "c", "d"]);
  assert.equal(to.delivery.counts().dropped, 1);
  await to.delivery.close();
});

Deno.test("with keepsOrder the order is kept, however long the outage", async () => {
  const to = receiver((_, attempts) => attempts <= 50 ? later : done, { keepsOrder: true });
  ["a", "b", "c"].forEach((item) => to.delivery.send(item));
  await to.idle();
  assert.deepEqual(to.taken, ["a", "b", "c"]);
  await to.delivery.close();
});
