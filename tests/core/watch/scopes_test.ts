/** What belongs to the targets of a watch or a guard. */

import assert from "node:assert/strict";
import type { Cgroup } from "../../../core/cgroup/cgroup.ts";
import { globToRegExp } from "../../../core/cgroup/glob.ts";
import { belongsTo, isFollowed, type Scope, scopeOf } from "../../../core/watch/scopes.ts";

const target = (path: string, part: Partial<Scope> = {}): Scope => ({
  cgroup: { path } as Cgroup,
  recursive: false,
  ...part,
});
const glob = (base: string, text: string) =>
  target(base, { recursive: true, pattern: globToRegExp(text) });

Deno.test("a kill below a target belongs to it, with and without --recursive", () => {
  for (const recursive of [false, true]) {
    const scopes = [target("/pod", { recursive })];
    for (const path of ["/pod", "/pod/c", "/pod/c/deep"]) {
      assert.ok(belongsTo(scopes, path, "oom_kill"), path);
    }
    for (const path of ["/", "/podx", "/other", "/other/pod"]) {
      assert.ok(!belongsTo(scopes, path, "oom_kill"), path);
    }
  }
});

Deno.test("creation and limits of cgroups below a target belong to it only with --recursive", () => {
  for (const type of ["cgroup_created", "cgroup_removed", "limit_changed"] as const) {
    assert.ok(belongsTo([target("/pod")], "/pod", type));
    assert.ok(!belongsTo([target("/pod")], "/pod/c", type));
    assert.ok(belongsTo([target("/pod", { recursive: true })], "/pod/c", type));
  }
});

Deno.test("a kill below a match of a glob belongs to the match", () => {
  const scopes = [glob("/pods", "/pods/a*")];
  for (const path of ["/pods/a1", "/pods/a1/c", "/pods/a1/c/deep"]) {
    assert.ok(belongsTo(scopes, path, "oom_kill"), path);
  }
  for (const path of ["/", "/pods", "/pods/b", "/pods/b/a1", "/a1"]) {
    assert.ok(!belongsTo(scopes, path, "oom_kill"), path);
  }
  assert.ok(belongsTo(scopes, "/pods/a1", "cgroup_created"));
  assert.ok(!belongsTo(scopes, "/pods/a1/c", "cgroup_created"));
  assert.ok(belongsTo([glob("/", "/**/a1")], "/x/a1/c", "oom_kill"));
});

Deno.test("a glob follows everything below its base, a target beside it only itself", () => {
  const scopes = [target("/pod"), glob("/pods", "/pods/*/c")];
  assert.ok(isFollowed(scopes, "/pods/new"));
  assert.ok(!isFollowed(scopes, "/pod/c"));
  assert.equal(scopeOf(scopes, "/pods/new"), undefined);
  assert.equal(scopeOf(scopes, "/pods/new/c"), scopes[1]);
});
