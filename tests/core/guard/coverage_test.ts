/** Which kills by the kernel a guard should have prevented. */

import assert from "node:assert/strict";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { killsFor } from "../../../core/guard/coverage.ts";
import type { GuardPolicy, PolicySet } from "../../../core/guard/policy.ts";
import type { Action } from "../../../core/policy/actions.ts";
import { makeTree } from "../../helpers/trees.ts";

const policyOf = (imminent: readonly Action[], dryRun = false) =>
  ({ actions: { warn: [], critical: [], imminent }, dryRun }) as unknown as GuardPolicy;
const KILLS = policyOf([{ kind: "process" }]);

using tree = makeTree(2, { "/pods": {}, "/pods/a": {}, "/other": {} });
const scopes = [{ cgroup: openCgroup(discover(tree.dir), "/pods")!, recursive: true }];
const only = (policy: GuardPolicy): PolicySet => ({ all: [policy], rules: [], labels: new Map() });
const kill = (cgroup: string, limit_owner: string | null = cgroup) =>
  ({ cgroup, limit_owner, scope: "cgroup" }) as const;

Deno.test("a kill counts where a policy kills for the limit, also when the cgroup is gone", () => {
  const all = only(KILLS);
  assert.equal(killsFor(kill("/pods/a"), scopes, all, []), true);
  assert.equal(killsFor(kill("/pods/gone/c", "/pods/gone"), scopes, all, []), true);
  assert.equal(killsFor(kill("/pods/a", null), scopes, all, []), true);
  assert.equal(killsFor(kill("/other"), scopes, all, []), false);
  assert.equal(killsFor(kill("/pods/a", "/"), scopes, all, []), false);
  assert.equal(killsFor({ ...kill("/pods/a"), scope: "system" }, scopes, all, []), false);
});

Deno.test("a kill does not count where the guard only reports, in a dry run, or in an exempt cgroup", () => {
  for (
    const policy of [
      policyOf([]),
      policyOf([{ kind: "noop" }]),
      policyOf([{ kind: "process" }], true),
    ]
  ) {
    assert.equal(killsFor(kill("/pods/a"), scopes, only(policy), []), false);
  }
  const exempt: PolicySet = {
    all: [KILLS, KILLS],
    rules: [{ selector: { cgroups: [/^\/pods\/a$/] }, isExempt: true, neverKills: true }],
    labels: new Map(),
  } as unknown as PolicySet;
  assert.equal(killsFor(kill("/pods/a"), scopes, exempt, []), false);
  assert.equal(killsFor(kill("/pods/b"), scopes, exempt, []), true);
});

Deno.test("a kill at the limit of a cgroup above counts where a target is guarded by that limit", () => {
  const guarded = [{ limitOwner: { path: "/" }, policy: KILLS }];
  assert.equal(killsFor(kill("/pods/a", "/"), scopes, only(KILLS), guarded), true);
});
