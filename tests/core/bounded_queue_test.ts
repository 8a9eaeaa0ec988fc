import assert from "node:assert/strict";
import { BoundedQueue, type BoundedQueueOptions } from "../../core/bounded_queue.ts";

function filled(options: Partial<BoundedQueueOptions<number>>, ...items: number[]) {
  const queue = new BoundedQueue<number>({ capacity: 3, drop: "oldest", ...options });
  const pushed = items.map((item) => queue.push(item));
  return { queue, pushed };
}

function drain(queue: BoundedQueue<number>): number[] {
  const items: number[] = [];
  for (let item; (item = queue.shift()) !== undefined;) items.push(item);
  return items;
}

Deno.test("a full queue drops its oldest item, and push reports it", () => {
  const { queue, pushed } = filled({}, 1, 2, 3, 4);
  assert.deepEqual([pushed, queue.dropped], [[true, true, true, false], 1]);
  assert.deepEqual(drain(queue), [2, 3, 4]);
});

Deno.test("a full queue that drops the newest item keeps its content", () => {
  const { queue, pushed } = filled({ drop: "newest" }, 1, 2, 3, 4);
  assert.deepEqual([pushed, queue.dropped], [[true, true, true, false], 1]);
  assert.deepEqual(drain(queue), [1, 2, 3]);
});

Deno.test("items that dropFirst selects are dropped before the oldest", () => {
  const { queue } = filled({ dropFirst: (item) => item % 2 === 0 }, 1, 2, 3, 4, 5, 7);
  assert.deepEqual([drain(queue), queue.dropped], [[3, 5, 7], 3]);
});

Deno.test("an item that is put back always fits", () => {
  const { queue } = filled({}, 1, 2, 3);
  const first = queue.shift()!;
  queue.push(4);
  queue.putBack(first);
  assert.deepEqual([drain(queue), queue.dropped], [[2, 3, 4, 1], 0]);
});

Deno.test("dropped items are counted, in the queue and in flight", () => {
  const { queue } = filled({}, 1, 2, 3);
  queue.shift();
  queue.countDropped();
  queue.dropAll();
  assert.deepEqual([queue.size, queue.head, queue.dropped], [0, undefined, 3]);
});
