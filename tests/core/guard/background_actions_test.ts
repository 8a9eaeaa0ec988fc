import assert from "node:assert/strict";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { BackgroundActions } from "../../../core/guard/background_actions.ts";
import type { GuardPolicy } from "../../../core/guard/policy.ts";
import type { GuardedCgroup } from "../../../core/guard/registry.ts";
import { libc } from "../../../core/kernel/libc.ts";
import type { Body, LevelReachedBody, OomkitEvent } from "../../../core/events/event.ts";
import { makeTree } from "../../helpers/trees.ts";

// Loaded before the tests: within one, a library that stays loaded counts as a leak.
libc();

const LONG_MS = 60_000;
const reached = { level: "warn", usage: 70 } as OomkitEvent & LevelReachedBody;

const asItIs = (event: OomkitEvent) => event;

const guardedWith = (policy: Partial<GuardPolicy>) => ({
  id: 1,
  policy,
  cgroup: { path: "/a" },
  settings: { mode: "notify", limit: 100, levelBytes: { warn: 65, critical: 90, imminent: 98 } },
} as unknown as GuardedCgroup);

async function finishWith(command: string): Promise<{ events: readonly Body[]; ms: number }> {
  const actions = { warn: [{ kind: "exec", argument: command }], critical: [], imminent: [] };
  const policy = { actions, metric: "usage", dryRun: false } as unknown as GuardPolicy;
  const events: Body[] = [];
  const backgroundActions = new BackgroundActions(
    LONG_MS,
    (_, body) => void events.push(body),
    asItIs,
  );
  backgroundActions.runLevelActions(guardedWith(policy), reached);
  const started = performance.now();
  await backgroundActions.finish();
  return { events, ms: performance.now() - started };
}

const results = (events: readonly Body[]) =>
  events.map((body) => body.type === "action" && [body.action, body.outcome, body.reason]);

Deno.test("a hook that still runs when the guard ends may finish within a moment", async () => {
  const { events } = await finishWith("sleep 0.2");
  assert.deepEqual(results(events), [["exec", "ok", null]]);
});

Deno.test("a hook that would outlive the guard is killed, and an event says so", async () => {
  const { events, ms } = await finishWith("sleep 1000 & wait");
  const reason = "it still ran when the guard ended and was killed";
  assert.deepEqual(results(events), [["exec", "failed", reason]]);
  assert.ok(ms < LONG_MS / 2, `it took ${ms} ms`);
});

Deno.test("a reclaim in a cgroup that is removed meanwhile has failed, and has freed nothing", async () => {
  using tree = makeTree(2, { "/a": { "memory.current": 70, "memory.reclaim": "" } });
  const limitOwner = openCgroup(discover(tree.dir), "/a");
  const actions = { warn: [{ kind: "reclaim" }], critical: [], imminent: [] };
  const policy = { actions, metric: "usage", dryRun: false } as unknown as GuardPolicy;
  const reported = Promise.withResolvers<Body>();
  const backgroundActions = new BackgroundActions(
    LONG_MS,
    (_, body) => reported.resolve(body),
    asItIs,
  );
  backgroundActions.runLevelActions(
    { ...guardedWith(policy), limitOwner: limitOwner! },
    reached,
  );
  Deno.removeSync(`${tree.dir}/a`, { recursive: true });
  const body = await reported.promise;
  assert.ok(body.type === "action" && body.action === "reclaim");
  assert.deepEqual([body.outcome, body.reason], ["failed", "the cgroup was removed"]);
  assert.equal(body.usage_after, undefined);
  await backgroundActions.finish();
});
