import assert from "node:assert/strict";
import { createChores } from "../../../core/guard/chores.ts";
import type { GuardPlan } from "../../../core/guard/plan.ts";
import type { Entry } from "../../../core/guard/roster.ts";
import { libc } from "../../../core/kernel/libc.ts";
import type { Body } from "../../../core/report/event.ts";

// Loaded once and kept, outside of what counts as a test's own.
libc();

const LONG = 60_000;

const entryUnder = (plan: Partial<GuardPlan>) => ({
  id: 1,
  plan,
  cgroup: { path: "/a" },
  terms: { mode: "notify", limit: 100, bounds: { warn: 65, critical: 90, threshold: 98 } },
} as unknown as Entry);

async function finishWith(command: string): Promise<{ told: readonly Body[]; ms: number }> {
  const actions = { warn: [{ kind: "exec", command }], critical: [], threshold: [] };
  const plan = { actions, base: "usage", dryRun: false } as unknown as GuardPlan;
  const told: Body[] = [];
  const chores = createChores({ hookTimeout: LONG }, (_, __, body) => void told.push(body));
  chores.atLevel(entryUnder(plan), "warn", 70);
  const started = performance.now();
  await chores.finish();
  return { told, ms: performance.now() - started };
}

const ends = (told: readonly Body[]) =>
  told.map((body) => body.type === "action" && [body.action, body.outcome, body.reason]);

Deno.test("a hook that still runs at the end is given a moment", async () => {
  const { told } = await finishWith("sleep 0.2");
  assert.deepEqual(ends(told), [["exec", "done", null]]);
});

Deno.test("a hook that would outlive the guard is ended with it, and that is told", async () => {
  const { told, ms } = await finishWith("sleep 1000 & wait");
  const reason = "it still ran when the guard ended and was ended";
  assert.deepEqual(ends(told), [["exec", "failed", reason]]);
  // Its own time would be far longer.
  assert.ok(ms < LONG / 2, `it took ${ms} ms`);
});
