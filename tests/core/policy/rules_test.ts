import assert from "node:assert/strict";
import { dependOnLabels, fits, ruleFor, type Selector } from "../../../core/policy/rules.ts";

const pods = new Map([["uid-1", new Map([["app", "db"], ["tier", "1"]])]]);
const at = (path: string, podUid?: string) => ({ path, podUid });
const isMatch = (selector: Selector, path: string, podUid?: string) =>
  fits(selector, at(path, podUid), pods);

Deno.test("all conditions of a rule must match", () => {
  const selector: Selector = { cgroups: [/^\/a\//], labels: [["app", "db"]] };
  assert.ok(isMatch(selector, "/a/x", "uid-1"));
  assert.ok(!isMatch(selector, "/b/x", "uid-1"));
  assert.ok(!isMatch(selector, "/a/x", "uid-2"));
  assert.ok(!isMatch(selector, "/a/x"));
  assert.ok(!isMatch({ labels: [["app", "db"], ["tier", "2"]] }, "/a", "uid-1"));
});

Deno.test("a unit is a service or scope of systemd or a slice around it, not a cgroup below the service", () => {
  const unit = (name: RegExp): Selector => ({ units: [name] });
  const path = "/user.slice/user-1000.slice/user@1000.service/app.slice/sshd.service";
  assert.ok(isMatch(unit(/^user@1000\.service$/), path));
  assert.ok(isMatch(unit(/^user-1000\.slice$/), path));
  assert.ok(!isMatch(unit(/^sshd\.service$/), path));
  assert.ok(!isMatch(unit(/^app\.slice$/), path));
  assert.ok(isMatch(unit(/^sshd\.service$/), "/system.slice/sshd.service/session"));
  assert.ok(isMatch(unit(/^system\.slice$/), "/system.slice"));
});

Deno.test("the first matching rule applies, and the index after the last means none", () => {
  const rules = [/^\/a/, /^\/a\/b/, /^\/c/].map((glob) => ({
    selector: { cgroups: [glob] },
    isExempt: false,
    neverKills: false,
  }));
  assert.equal(ruleFor(rules, at("/a/b"), pods), 0);
  assert.equal(ruleFor(rules, at("/c"), pods), 2);
  assert.equal(ruleFor(rules, at("/d"), pods), 3);
});

Deno.test("a pod with unknown labels matches a rule that never kills, and not one that kills", () => {
  const rule = (neverKills: boolean) => [{
    selector: { labels: [["app", "db"]] as const },
    isExempt: false,
    neverKills,
  }];
  assert.equal(ruleFor(rule(true), at("/p", "unknown"), pods), 0);
  assert.equal(ruleFor(rule(false), at("/p", "unknown"), pods), 1);
  assert.equal(ruleFor(rule(true), at("/no-pod"), pods), 1);
});

Deno.test("a rule for the machine matches the machine only, and no other rule does", () => {
  const everywhere = { selector: { cgroups: [/^/] }, isExempt: true, neverKills: true };
  const ofMachine = { selector: { machine: true as const }, isExempt: false, neverKills: false };
  const rules = [everywhere, ofMachine];
  const root = { path: "/", podUid: undefined };
  assert.equal(ruleFor(rules, { ...root, isMachine: true }, new Map()), 1);
  assert.equal(ruleFor(rules, root, new Map()), 0);
  assert.equal(ruleFor([ofMachine], root, new Map()), 1);
  assert.equal(ruleFor([everywhere], { ...root, isMachine: true }, new Map()), 1);
});

Deno.test("rules depend on labels when one of them selects by labels, also by none in particular", () => {
  const others: Selector[] = [{ cgroups: [/^\/a/] }, { units: [/x/] }, { machine: true }, {}];
  const rules = (...selectors: Selector[]) => selectors.map((selector) => ({ selector }));
  assert.ok(!dependOnLabels([]));
  assert.ok(!dependOnLabels(rules(...others)));
  assert.ok(dependOnLabels(rules(...others, { labels: [["app", "db"]] })));
  assert.ok(dependOnLabels(rules(...others, { labels: [] })));
});
