import assert from "node:assert/strict";
import type { Message } from "../../../core/guard/messages.ts";
import type { JoinedEpoll } from "../../../core/kernel/epoll.ts";
import { libc } from "../../../core/kernel/libc.ts";
import { guardTree, LIMIT } from "../../faults/guarded_tree.ts";

// Loaded once for all tests.
libc();

const MIB = 1024 ** 2;

/** Nothing passes but the time that is slept. */
function ownClock(): { readonly epoll: JoinedEpoll; now(): number } & Disposable {
  const real = performance.now;
  let now = 0;
  performance.now = () => now;
  return {
    now: () => now,
    epoll: {
      block(milliseconds) {
        now += milliseconds;
        return { events: [], woken: 0 };
      },
      add() {},
      remove() {},
    },
    [Symbol.dispose]: () => void (performance.now = real),
  };
}

Deno.test("who is due between two rounds is looked at then, also when he was not before the first", () => {
  using clock = ownClock();
  using guarded = guardTree(1, { usage: 8, inactiveFile: 0, pids: [] }, { poll: 700 });
  const told: [Message["say"], number][] = [];
  const sentry = guarded.adopt(clock.epoll, ({ say }) => void told.push([say, clock.now()]));
  try {
    // At 0, 700 and, for the round, 1000: then at 1400, between the rounds of 1000 and 2000.
    while (clock.now() < 1000) sentry.turn();
    assert.deepEqual(told, []);
    guarded.tree.write("/a", "memory.usage_in_bytes", LIMIT - 16 * MIB);
    while (told.length === 0 && clock.now() < 5000) sentry.turn();
    assert.deepEqual(told, [["level", 1400]]);
  } finally {
    sentry.close();
  }
});
