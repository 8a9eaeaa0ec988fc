import assert from "node:assert/strict";
import {
  countOf,
  eventLine,
  isAllRight,
  type Result,
  type Run,
  tableLines,
  verdictOf,
} from "../../scripts/harmless/results.ts";
import { obstacleTo } from "../../scripts/harmless/run.ts";
import { stepOf } from "../../scripts/harmless/steps.ts";
import { type Control, type Workload, WORKLOADS } from "../../scripts/harmless/workloads.ts";

const MIB = 1024 ** 2;

const lived: Run = { code: 0, kernelKills: 0, guardKills: 0, skipped: 1, peak: 16 * MIB, ms: 500 };
const byGuard: Run = { ...lived, code: 137, guardKills: 1 };
const byKernel: Run = { ...lived, code: 137, kernelKills: 1 };
const failed: Run = { ...lived, code: 2 };

function result(alone: readonly Run[], guarded: readonly Run[], control?: Control): Result {
  const workload: Workload = {
    name: "cache-read",
    what: "reads",
    limit: 16,
    script: "",
    ...(control !== undefined && { control }),
  };
  return { workload, alone, guarded };
}

Deno.test("a workload is harmless when it lives with a guard, and the guard has signalled nothing", () => {
  assert.equal(verdictOf(result([lived], [lived])), "harmless");
  assert.equal(verdictOf(result([lived], [lived, byGuard])), "NOT HARMLESS");
  // The kill hit a process that the script does not wait for.
  assert.equal(verdictOf(result([lived], [{ ...lived, guardKills: 1 }])), "NOT HARMLESS");
  assert.equal(verdictOf(result([lived], [byKernel])), "NOT HARMLESS");
  assert.equal(verdictOf(result([lived], [failed])), "NOT HARMLESS");
});

Deno.test("nothing follows from a workload that does not live without a guard", () => {
  assert.equal(verdictOf(result([lived, byKernel], [byGuard])), "not counted");
  assert.equal(verdictOf(result([failed], [lived])), "UNFIT");
});

Deno.test("a control must be killed with a guard, and without it by the kernel or not at all", () => {
  const kills = (alone: Run, guarded: Run) => verdictOf(result([alone], [guarded], "kernel kills"));
  assert.deepEqual(
    [kills(byKernel, byGuard), kills(byKernel, byKernel), kills(lived, lived)],
    ["control", "control", "UNFIT"],
  );
  const margin = (alone: Run, guarded: Run) => verdictOf(result([alone], [guarded], "margin"));
  assert.deepEqual(
    [margin(lived, byGuard), margin(lived, lived), margin(byKernel, byGuard)],
    ["control", "UNFIT", "UNFIT"],
  );
});

Deno.test("the last line counts what lives without a guard", () => {
  const all = [
    result([lived], [lived]),
    result([byKernel], [byGuard], "kernel kills"),
    result([byKernel], [lived]),
  ];
  assert.deepEqual(countOf(all), { harmless: 1, counted: 1 });
  assert.ok(isAllRight(all));
  const wrong = [...all, result([lived], [byGuard])];
  assert.deepEqual(countOf(wrong), { harmless: 1, counted: 2 });
  assert.ok(!isAllRight(wrong));
  assert.ok(!isAllRight([result([failed], [lived])]));
});

Deno.test("a row shows exit codes with the kills, and how often", () => {
  const [head, , row, other] = tableLines([
    result([lived, byKernel], [lived, lived]),
    result([{ ...lived, peak: undefined }], [{ ...byGuard, ms: 1500 }]),
  ]);
  const cells = (line = "") => line.split("|").slice(1, -1).map((cell) => cell.trim());
  assert.equal(cells(head).at(-1), "verdict");
  assert.deepEqual(cells(row), [
    ...["cache-read", "16 MiB", "100 %", "1 × 0; 1 × 137 (kernel 1)", "0", "1", "0.5 → 0.5"],
    "not counted",
  ]);
  assert.deepEqual(cells(other).slice(2, 7), ["–", "0", "137 (guard 1)", "1", "0.5 → 1.5"]);
});

Deno.test("an event is shown by what decides", () => {
  const event = {
    ts: "2026-01-01T10:20:30.123456Z",
    type: "action",
    cgroup: "/a/cache-read-1",
    action: "process",
    reason: null,
    usage_before: 10.4,
    victim: { comm: "cat" },
  };
  assert.equal(
    eventLine(event),
    "  20:30.123 cache-read-1 action action=process usage_before=10 victim=cat",
  );
});

Deno.test("a workload that needs another version or swap is not run, with the reason", () => {
  const of = (more: Partial<Workload>) => ({ ...result([], []).workload, ...more });
  const v1 = { version: 1, hasSwap: false, limitsSwap: false } as const;
  assert.equal(obstacleTo(of({}), v1), undefined);
  assert.equal(obstacleTo(of({ only: 2 }), v1), "only on v2");
  assert.equal(obstacleTo(of({ swap: "free" }), v1), "this machine has no swap");
  assert.equal(obstacleTo(of({ swap: "free" }), { ...v1, hasSwap: true }), undefined);
  assert.equal(
    obstacleTo(of({ swap: 8 }), { ...v1, hasSwap: true }),
    "this kernel does not limit swap",
  );
});

Deno.test("steps of the memory program have an amount, a rate or a path", () => {
  assert.deepEqual(stepOf("anon:24.5@100"), { name: "anon", amount: 24.5, rate: 100 });
  assert.deepEqual(stepOf("read-file:24:/a/b"), { name: "read-file", amount: 24, path: "/a/b" });
  assert.deepEqual(stepOf("until:/go"), { name: "until", amount: 0, path: "/go" });
  assert.deepEqual(stepOf("free"), { name: "free", amount: 0 });
  assert.throws(() => stepOf("eat:1"), /no such step: eat:1/);
});

Deno.test("at least forty workloads on each version, small, with names of their own and steps that exist", () => {
  const names = WORKLOADS.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const version of [1, 2]) {
    const there = WORKLOADS.filter(({ only, control, swap }) =>
      (only ?? version) === version && control === undefined && swap === undefined
    );
    assert.ok(there.length >= 40, `${there.length} on v${version}`);
  }
  for (const { name, limit, cold = 0, moreCold = 0, script } of WORKLOADS) {
    assert.ok(limit >= 4 && limit <= 128, name);
    assert.ok(cold * (1 + moreCold) <= 128, name);
    for (const [, words] of script.matchAll(/^memory \S+ ([^&;\n]*)/gm)) {
      for (const word of words!.trim().split(/\s+/)) {
        stepOf(word.replaceAll('"', "").replace(/\$(DIR|COLD)/, "/dir"));
      }
    }
  }
});
