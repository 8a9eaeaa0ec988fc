import assert from "node:assert/strict";
import { fits, ruleFor, type Selector } from "../../../core/policy/rules.ts";

const pods = new Map([["uid-1", new Map([["app", "db"], ["tier", "1"]])]]);
const at = (path: string, podUid?: string) => ({ path, podUid });
const isFitting = (selector: Selector, path: string, podUid?: string) =>
  fits(selector, at(path, podUid), pods);

Deno.test("all that a rule asks for must fit", () => {
  const selector: Selector = { cgroups: [/^\/a\//], labels: [["app", "db"]] };
  assert.ok(isFitting(selector, "/a/x", "uid-1"));
  assert.ok(!isFitting(selector, "/b/x", "uid-1"));
  assert.ok(!isFitting(selector, "/a/x", "uid-2"));
  assert.ok(!isFitting(selector, "/a/x"));
  assert.ok(!isFitting({ labels: [["app", "db"], ["tier", "2"]] }, "/a", "uid-1"));
});

Deno.test("a unit is what systemd made, with the slices that it lies in, and not a name within it", () => {
  const unit = (name: RegExp): Selector => ({ units: [name] });
  const path = "/user.slice/user-1000.slice/user@1000.service/app.slice/sshd.service";
  assert.ok(isFitting(unit(/^user@1000\.service$/), path));
  assert.ok(isFitting(unit(/^user-1000\.slice$/), path));
  assert.ok(!isFitting(unit(/^sshd\.service$/), path));
  assert.ok(!isFitting(unit(/^app\.slice$/), path));
  assert.ok(isFitting(unit(/^sshd\.service$/), "/system.slice/sshd.service/session"));
  assert.ok(isFitting(unit(/^system\.slice$/), "/system.slice"));
});

Deno.test("the first rule that fits holds, and the number behind the last stands for none", () => {
  const rules = [/^\/a/, /^\/a\/b/, /^\/c/].map((glob) => ({
    selector: { cgroups: [glob] },
    isExempt: false,
    neverKills: false,
  }));
  assert.equal(ruleFor(rules, at("/a/b"), pods), 0);
  assert.equal(ruleFor(rules, at("/c"), pods), 2);
  assert.equal(ruleFor(rules, at("/d"), pods), 3);
});

Deno.test("a pod that is not known yet is spared by a rule that spares, and not ended by one that ends", () => {
  const rule = (neverKills: boolean) => [{
    selector: { labels: [["app", "db"]] as const },
    isExempt: false,
    neverKills,
  }];
  assert.equal(ruleFor(rule(true), at("/p", "unknown"), pods), 0);
  assert.equal(ruleFor(rule(false), at("/p", "unknown"), pods), 1);
  assert.equal(ruleFor(rule(true), at("/no-pod"), pods), 1);
});
