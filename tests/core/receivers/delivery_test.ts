import assert from "node:assert/strict";
import {
  type Attempt,
  type Delivery,
  type DeliveryOptions,
  openDelivery,
} from "../../../core/receivers/delivery.ts";

const later: Attempt = { is: "later", why: "it answered 500" };
const done: Attempt = { is: "done" };

interface Receiver {
  readonly delivery: Delivery<string>;
  /** What it took, in the order in which it did. */
  readonly taken: string[];
  readonly tries: string[];
  readonly lines: string[];
  /** Resolves when nothing waits any more; throws when that never comes. */
  quiet(): Promise<void>;
}

/** One that pauses for a moment alone. */
function receiver(
  answer: (item: string, tries: number) => Attempt,
  options: Partial<DeliveryOptions<string>> = {},
): Receiver {
  const [taken, tries, lines]: string[][] = [[], [], []];
  const delivery = openDelivery<string>({
    what: "report to it",
    deliver(item) {
      tries!.push(item);
      const result = answer(item, tries!.length);
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
    ...{ delivery, taken: taken!, tries: tries!, lines: lines! },
    async quiet() {
      while (delivery.counts().pending > 0 && tries!.length < 1000) {
        await new Promise((resolve) => setTimeout(resolve));
      }
      if (delivery.counts().pending === 0) return;
      await delivery.close();
      assert.fail("it is tried for ever");
    },
  };
}

Deno.test("one that is refused alone does not hold up the others, and is given up with a word", async () => {
  const givenUp: string[] = [];
  const to = receiver((item) => item === "bad" ? later : done, {
    givenUp: (item) => void givenUp.push(item),
  });
  ["a", "bad", "b", "c"].forEach(to.delivery.send);
  await to.quiet();
  assert.deepEqual(to.taken, ["a", "b", "c"]);
  assert.deepEqual(to.delivery.counts(), { pending: 0, sent: 3, dropped: 1, failed: 10 });
  assert.deepEqual(givenUp, ["bad"]);
  assert.deepEqual(to.lines, [
    "cannot report to it: it answered 500",
    "can report to it again, after 5 failed tries",
    "cannot report to it: it answered 500",
    "could not report to it: 1 report was dropped after 10 failed tries, as others were delivered: it answered 500",
  ]);
  await to.delivery.close();
  assert.equal(to.lines.length, 4, "what was told is not told again");
});

Deno.test("an outage loses nothing, however often each was tried", async () => {
  const to = receiver((_, tries) => tries <= 100 ? later : done);
  const items = Array.from({ length: 7 }, (_, at) => `${at}`);
  items.forEach(to.delivery.send);
  await to.quiet();
  assert.deepEqual([...to.taken].sort(), items);
  assert.deepEqual(to.delivery.counts(), { pending: 0, sent: 7, dropped: 0, failed: 100 });
  await to.delivery.close();
});

Deno.test("a second outage that is short loses nothing of what the first one has put back", async () => {
  // "a" has its turn and goes to the back, "b" gets through, then it is away again.
  const to = receiver((_, tries) => tries <= 5 || (tries > 6 && tries <= 10) ? later : done);
  ["a", "b", "c"].forEach(to.delivery.send);
  await to.quiet();
  assert.deepEqual(to.taken, ["b", "c", "a"]);
  await to.delivery.close();
});

Deno.test("the order is kept through a short outage", async () => {
  const to = receiver((_, tries) => tries <= 4 ? later : done);
  ["a", "b", "c"].forEach(to.delivery.send);
  await to.quiet();
  assert.deepEqual(to.taken, ["a", "b", "c"]);
  await to.delivery.close();
});

Deno.test("one that waits alone is tried on, until another comes", async () => {
  const arrived = Promise.withResolvers<void>();
  const to = receiver((item, tries) => {
    if (tries === 12) arrived.resolve();
    return item === "bad" ? later : done;
  });
  to.delivery.send("bad");
  await arrived.promise;
  assert.equal(to.delivery.counts().dropped, 0);
  to.delivery.send("a");
  await to.quiet();
  assert.deepEqual(to.taken, ["a"]);
  assert.equal(to.delivery.counts().dropped, 1);
  await to.delivery.close();
});

Deno.test("what comes after one was put back waits behind it", async () => {
  const to = receiver((_, tries) => {
    if (tries === 6) to.delivery.send("late");
    return tries <= 5 ? later : done;
  });
  ["a", "b"].forEach(to.delivery.send);
  await to.quiet();
  assert.deepEqual(to.taken, ["b", "a", "late"]);
  await to.delivery.close();
});

Deno.test("where there is no room the oldest goes, be it at the back", async () => {
  const to = receiver((_, tries) => {
    if (tries === 6) to.delivery.send("d");
    return tries <= 6 ? later : done;
  }, { most: 2 });
  // The first is underway at once.
  ["a", "b", "c"].forEach(to.delivery.send);
  await to.quiet();
  assert.deepEqual(to.taken, ["b", "c", "d"]);
  assert.equal(to.delivery.counts().dropped, 1);
  await to.delivery.close();
});

Deno.test("where the order counts most it is kept, however long the outage", async () => {
  const to = receiver((_, tries) => tries <= 50 ? later : done, { byBadnessNow: true });
  ["a", "b", "c"].forEach(to.delivery.send);
  await to.quiet();
  assert.deepEqual(to.taken, ["a", "b", "c"]);
  await to.delivery.close();
});
