/** What a sentry still does wrong when a read fails; each is to be let loose once it is put right. */

import assert from "node:assert/strict";
import type { Report } from "../../core/guard/thread/protocol.ts";
import { gather, type Guarded, guardTree } from "./guarded_tree.ts";
import { type Moment, pidfdOf, type Wound } from "./injection.ts";
import { hurt } from "./sweep.ts";

const failing = (
  path: string,
  moment: Moment,
  errno: number,
  part: Partial<Wound> = {},
): Wound => ({
  path,
  fault: { name: `errno ${errno}`, moment, errno },
  from: 1,
  ...part,
});

/** While the limit is found all is well. */
function hurtSentry(guarded: Guarded, wound: Wound) {
  const limit = guarded.limit();
  return hurt(() => guarded.run(limit), [wound]);
}

const victimsOf = (messages: readonly Report[]) =>
  messages.flatMap((said) => said.type === "kill" ? said.kill.victim?.pid ?? [] : []);

for (const base of ["usage", "working-set"] as const) {
  Deno.test({
    name: `nobody dies for page cache of which nothing can be read, by ${base}`,
    async fn() {
      await using crowd = gather();
      const state = { usage: 63.5, inactiveFile: 40, pids: crowd.pids };
      using guarded = guardTree(2, state, { metric: base });
      const { outcome } = hurtSentry(
        guarded,
        failing(`${guarded.cgroup.dir}/memory.stat`, "read", 5),
      );
      assert.ok("result" in outcome);
      assert.deepEqual(victimsOf(outcome.result.messages), []);
    },
  });
}

for (const errno of [4, 5, 12]) {
  Deno.test({
    name: `one read that fails with errno ${errno} ends no guard of a cgroup that is there`,
    async fn() {
      await using crowd = gather();
      const [one] = crowd.pids;
      using guarded = guardTree(2, { usage: 63.875, inactiveFile: 0, pids: [one] });
      const usage = `${guarded.cgroup.dir}/memory.current`;
      const once = failing(usage, "read", errno, { times: 1 });
      const { outcome } = hurtSentry(guarded, once);
      assert.ok("result" in outcome);
      const { messages } = outcome.result;
      assert.ok(!messages.some(({ type: say }) => say === "gone"), Deno.inspect(messages));
      assert.ok(victimsOf(messages).includes(one), Deno.inspect(messages));
    },
  });
}

// EPERM of a seccomp filter, EMFILE, ENOMEM
for (const errno of [1, 24, 12]) {
  Deno.test({
    name: `a process that cannot be held for errno ${errno} is passed over, and ends no sentry`,
    async fn() {
      await using crowd = gather();
      const [one, other] = crowd.pids;
      using guarded = guardTree(2, { usage: 63.875, inactiveFile: 0, pids: crowd.pids });
      const { outcome } = hurtSentry(guarded, failing(pidfdOf(one), "open", errno));
      assert.ok("result" in outcome, String("thrown" in outcome && outcome.thrown));
      assert.deepEqual(victimsOf(outcome.result.messages), [other]);
    },
  });
}
