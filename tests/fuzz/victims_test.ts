/** Victim order, groups and rules, for arbitrary names of processes and cgroups. */

import assert from "node:assert/strict";
import { isExcluded, policyFor, type PolicySet } from "../../core/guard/policy.ts";
import { isInSubtree } from "../../core/cgroup_path.ts";
import { LEVELS } from "../../core/policy/levels.ts";
import { fits, type Rule, ruleFor } from "../../core/policy/rules.ts";
import {
  type Attribute,
  diesWithGroup,
  groupOf,
  PREFERENCE_ORDER,
  rankCandidates,
  rankVictims,
} from "../../core/policy/victims.ts";
import type { Process } from "../../core/snapshot.ts";
import { fc } from "./cases.ts";
import { MIB } from "../helpers/observations.ts";

const level = fc.constantFrom(...LEVELS);
const cgroups = ["/a", "/a/b", "/a/b/c", "/a/d"];
const ignored = /\bignored\b/u;
const anyProcess = fc.record({
  pid: fc.integer({ min: 1, max: 12 }),
  rss: fc.option(fc.nat(64 * MIB), { nil: undefined }),
  oomScoreAdj: fc.oneof(fc.constant(-1000), fc.integer({ min: -1000, max: 1000 })),
  comm: fc.string({ unit: "binary", maxLength: 15 }),
  cmdline: fc.array(fc.constantFrom("ignored", "victim", "", "--me", "x\ny"), { maxLength: 3 }),
  cgroup: fc.constantFrom(...cgroups),
});
const processes = fc.uniqueArray(anyProcess, { selector: ({ pid }) => pid }).map((all) =>
  all.map(({ rss, ...rest }): Process => ({
    startTime: BigInt(rest.pid),
    nsPids: [rest.pid],
    state: "S",
    ...rest,
    ...rss === undefined ? {} : { rss },
  }))
);

Deno.test("no protected process is ever a candidate, for any names", () => {
  const marks = fc.dictionary(
    fc.constantFrom(...cgroups),
    fc.constantFrom<Attribute | "excluded">("prefer", "avoid", "omit", "excluded"),
  );
  const own = fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 3 });
  const expressions = fc.record({
    prefer: fc.subarray([/./u, ignored]),
    avoid: fc.subarray([/victim/u]),
    ignore: fc.subarray([ignored]),
  });
  fc.assert(
    fc.property(
      processes,
      marks,
      own,
      expressions,
      fc.boolean(),
      (all, marks, own, preferences, pidOneIsInit) => {
        const attributes = new Map(Object.entries(marks));
        const protectedPids = new Set(own);
        const pool = {
          processes: all,
          oomTotalBytes: 64 * MIB,
          pageSize: 4096,
          pidOneIsInit,
          protectedPids,
          attributes,
        };
        const { candidates, excluded } = rankCandidates(pool, preferences);
        for (const { process } of candidates) {
          const { pid, oomScoreAdj, rss, cgroup, cmdline, comm } = process;
          assert.ok(!protectedPids.has(pid), "oomkit itself");
          assert.ok(!(pid === 1 && pidOneIsInit), "init");
          assert.ok(oomScoreAdj !== -1000 && rss !== undefined);
          assert.ok(!["omit", "excluded"].includes(attributes.get(cgroup) ?? ""), "exempt");
          const line = cmdline.length > 0 ? cmdline.join(" ") : comm;
          assert.ok(preferences.ignore.length === 0 || !ignored.test(line), "ignored");
        }
        assert.equal(candidates.length + excluded.length, all.length);
        const order = candidates.map(({ preference }) => PREFERENCE_ORDER.indexOf(preference));
        assert.deepEqual(order, order.toSorted((a, b) => a - b));
      },
    ),
  );
});

Deno.test("a process that grows never moves back in the order while the others stay the same", () => {
  fc.assert(fc.property(processes, fc.nat(), fc.nat(2 ** 30), (all, which, more) => {
    const ranks = (processes: readonly Process[]) =>
      rankVictims(processes, 64 * MIB, { pageSize: 4096 }).map(({ process: { pid } }) => pid);
    const before = ranks(all);
    fc.pre(before.length > 0);
    const pid = before[which % before.length]!;
    const grown = all.map((each) => each.pid === pid ? { ...each, rss: each.rss! + more } : each);
    assert.ok(ranks(grown).indexOf(pid) <= before.indexOf(pid));
  }));
});

Deno.test("a group contains the victim, is within the cgroup that has the limit, and excludes protected processes", () => {
  const marked = fc.subarray(["/", ...cgroups]);
  fc.assert(fc.property(fc.constantFrom(...cgroups), marked, processes, (victim, marked, all) => {
    for (const owner of ["/", "/a", "/a/b", "/a/b/c"]) {
      fc.pre(isInSubtree(victim, "/a"));
      if (!isInSubtree(victim, owner)) continue;
      const group = groupOf(victim, owner, (path) => marked.includes(path));
      if (group === undefined) assert.ok(!marked.includes(victim));
      else {assert.ok(
          marked.includes(group) && isInSubtree(victim, group) && isInSubtree(group, owner),
        );}
    }
    for (const each of all) {
      if (each.oomScoreAdj === -1000 || each.pid === 1) assert.ok(!diesWithGroup(each));
    }
  }));
});

const pathText = fc.array(fc.constantFrom("a", "b.slice", "c.service", "poda", "x\ny"), {
  maxLength: 4,
})
  .map((names) => `/${names.join("/")}`);
const labels = new Map([["uid", new Map([["app", "db"]])]]);
const someRule: fc.Arbitrary<Rule> = fc.record({
  selector: fc.record({
    cgroups: fc.subarray([/^\/a/, /^\/b\.slice/, /./s], { minLength: 1 }),
    units: fc.subarray([/^c\.service$/, /^b\.slice$/], { minLength: 1 }),
    labels: fc.constantFrom([["app", "db"]] as const, [["app", "web"]] as const),
  }, { requiredKeys: [] }),
  isExempt: fc.boolean(),
  neverKills: fc.boolean(),
});

Deno.test("the first rule that matches applies, and later rules do not change that", () => {
  const pod = fc.constantFrom(undefined, "uid", "unknown");
  fc.assert(fc.property(fc.array(someRule), pathText, pod, (rules, path, podUid) => {
    const at = { path, podUid };
    const number = ruleFor(rules, at, labels);
    rules.forEach(({ selector, neverKills }, each) => {
      const fitting = fits(selector, at, labels, neverKills);
      if (each < number) assert.ok(!fitting);
      if (each === number) assert.ok(fitting);
    });
    // The label of an unknown pod may only exclude, never kill.
    if (podUid === "unknown" && number < rules.length && rules[number]!.selector.labels) {
      assert.ok(rules[number]!.neverKills);
    }
  }));
});

Deno.test("an exempted cgroup has no policy and is excluded, also below a guarded one", () => {
  fc.assert(fc.property(fc.array(someRule), pathText, level, (rules, path, level) => {
    const actions = { warn: [], critical: [], imminent: [], [level]: [{ kind: "process" }] };
    const all = rules.map(({ neverKills }) =>
      neverKills ? { actions: { ...actions, [level]: [] } } : { actions }
    );
    const policies = { all: [...all, { actions }], rules, labels } as unknown as PolicySet;
    const number = ruleFor(rules, { path, podUid: undefined }, labels);
    const isExempt = rules[number]?.isExempt ?? false;
    assert.equal(policyFor(policies, path) === undefined, isExempt);
    assert.equal(isExcluded(policies, path), isExempt || (rules[number]?.neverKills ?? false));
  }));
});
