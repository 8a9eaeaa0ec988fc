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
  queue.countDropped(queue.shift()!);
  queue.dropAll();
  assert.deepEqual([queue.size, queue.head, queue.dropped], [0, undefined, 3]);
});

Deno.test("reserved items and the others make room for their own kind only", () => {
  for (const drop of ["oldest", "newest"] as const) {
    const dropped: number[] = [];
    const { queue, pushed } = filled(
      {
        drop,
        reserved: { capacity: 2, has: (item) => item >= 100 },
        onDrop: (item) => void dropped.push(item),
      },
      100,
      1,
      2,
      3,
      4,
      101,
      5,
      102,
    );
    const [gone, left] = drop === "oldest"
      ? [[1, 2, 100], [3, 4, 101, 5, 102]]
      : [[4, 5, 102], [100, 1, 2, 3, 101]];
    assert.deepEqual([dropped, drain(queue)], [gone, left]);
    assert.deepEqual(pushed.filter((isKept) => !isKept).length, 3);
    assert.equal(queue.push(103), true, "the bounds are those of what is in the queue");
  }
});

Deno.test("an item can be taken out, and put back at the head", () => {
  const { queue } = filled({ reserved: { capacity: 1, has: (item) => item === 2 } }, 1, 2, 3);
  assert.equal(queue.remove(2), true);
  assert.equal(queue.remove(2), false);
  queue.putFirst(2);
  assert.equal(queue.push(2), false, "it counts for the bound again");
  assert.deepEqual(drain(queue), [1, 3, 2]);
});

Deno.test("each group has its turn, in the order of its items, and the largest one makes room", () => {
  const dropped: number[] = [];
  const options = { capacity: 5, group: (item: number) => String(item % 2) };
  const { queue } = filled(
    { ...options, onDrop: (item) => void dropped.push(item) },
    1,
    3,
    5,
    7,
    2,
  );
  queue.push(9);
  queue.push(4);
  assert.deepEqual(dropped, [1, 3]);
  assert.equal(queue.shift(), 5);
  queue.putFirst(5);
  assert.deepEqual(drain(queue), [5, 2, 7, 4, 9]);
});
