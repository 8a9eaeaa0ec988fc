import assert from "node:assert/strict";
import type { Report } from "../../../../core/guard/thread/protocol.ts";
import type { JoinedEpoll } from "../../../../core/kernel/epoll.ts";
import { libc } from "../../../../core/kernel/libc.ts";
import { gather, guardTree, LIMIT } from "../../../faults/guarded_tree.ts";

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
  const told: [Report["type"], number][] = [];
  const loop = guarded.adopt(
    clock.epoll,
    ({ type: report }) => void told.push([report, clock.now()]),
  );
  try {
    // At 0, 700 and, for the round, 1000: then at 1400, between the rounds of 1000 and 2000.
    while (clock.now() < 1000) loop.runOnce();
    assert.deepEqual(told, []);
    guarded.tree.write("/a", "memory.usage_in_bytes", LIMIT - 16 * MIB);
    while (told.length === 0 && clock.now() < 5000) loop.runOnce();
    assert.deepEqual(told, [["level_reached", 1400]]);
  } finally {
    loop.close();
  }
});

Deno.test("whom a guard has killed as it was ended is told of, and as dead", async () => {
  await using crowd = gather();
  using guarded = guardTree(
    1,
    { usage: 64, inactiveFile: 0, pids: [crowd.pids[0]] },
    { dryRun: false },
  );
  const told: Report[] = [];
  const epoll: JoinedEpoll = { block: () => ({ events: [], woken: 0 }), add() {}, remove() {} };
  const loop = guarded.adopt(epoll, (message) => void told.push(message));
  const blowsTold = () => told.flatMap((message) => message.type === "kill" ? [message.kill] : []);
  for (let n = 0; n < 100 && !isStruck(crowd.pids[0]); n++) loop.runOnce();
  loop.close();
  const [kill] = blowsTold();
  assert.equal(kill?.victim?.pid, crowd.pids[0]);
  assert.equal(kill.outcome, "killed");
});

/** SIGKILL is pending, or has been taken. */
const isStruck = (pid: number) => {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const pending = /^ShdPnd:\s+([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  return /^State:\s+[ZX]/m.test(status) || (BigInt(`0x${pending}`) >> 8n & 1n) === 1n;
};
