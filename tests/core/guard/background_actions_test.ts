import assert from "node:assert/strict";
import { createBackgroundActions } from "../../../core/guard/background_actions.ts";
import type { GuardPolicy } from "../../../core/guard/policy.ts";
import type { GuardedCgroup } from "../../../core/guard/registry.ts";
import { libc } from "../../../core/kernel/libc.ts";
import type { Body } from "../../../core/events/event.ts";

// Loaded once and kept, outside of what counts as a test's own.
libc();

const LONG = 60_000;

const entryUnder = (policy: Partial<GuardPolicy>) => ({
  id: 1,
  policy,
  cgroup: { path: "/a" },
  settings: { mode: "notify", limit: 100, levelBytes: { warn: 65, critical: 90, imminent: 98 } },
} as unknown as GuardedCgroup);

async function finishWith(command: string): Promise<{ told: readonly Body[]; ms: number }> {
  const actions = { warn: [{ kind: "exec", command }], critical: [], imminent: [] };
  const policy = { actions, metric: "usage", dryRun: false } as unknown as GuardPolicy;
  const told: Body[] = [];
  const backgroundActions = createBackgroundActions(
    { hookTimeout: LONG },
    (_, __, body) => void told.push(body),
  );
  backgroundActions.runLevelActions(entryUnder(policy), "warn", 70);
  const started = performance.now();
  await backgroundActions.finish();
  return { told, ms: performance.now() - started };
}

const ends = (told: readonly Body[]) =>
  told.map((body) => body.type === "action" && [body.action, body.outcome, body.reason]);

Deno.test("a hook that still runs at the end is given a moment", async () => {
  const { told } = await finishWith("sleep 0.2");
  assert.deepEqual(ends(told), [["exec", "ok", null]]);
});

Deno.test("a hook that would outlive the guard is ended with it, and that is told", async () => {
  const { told, ms } = await finishWith("sleep 1000 & wait");
  const reason = "it still ran when the guard ended and was ended";
  assert.deepEqual(ends(told), [["exec", "failed", reason]]);
  // Its own time would be far longer.
  assert.ok(ms < LONG / 2, `it took ${ms} ms`);
});
