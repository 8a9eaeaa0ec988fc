import assert from "node:assert/strict";
import type { Costs } from "../../scripts/bench/costs.ts";
import type { AllocatorProgram } from "../../scripts/soak/allocators.ts";
import {
  deaths,
  type Facts,
  unreportedKills,
  wrongKills,
} from "../../scripts/soak/expectations.ts";
import { growth } from "../../scripts/soak/idle.ts";
import { killedPid } from "../../scripts/soak/kernel_kills.ts";
import { unexpectedReason } from "../../scripts/soak/output.ts";
import type { Program, ReportedEvent } from "../../scripts/soak/program.ts";
import { isDisruptive } from "../../scripts/soak/soak.ts";
import { Random } from "../../scripts/soak/world.ts";

const NOW = Date.parse("2026-01-01T00:00:00Z");
const GUARDED = "/soak/guarded";
const CGROUP = `${GUARDED}/a`;

function allocator(change: Partial<AllocatorProgram> = {}): AllocatorProgram {
  return {
    pid: 7,
    kind: "burst",
    isProtected: false,
    started: NOW - 5000,
    places: [{ path: CGROUP, since: NOW - 5000 }],
    isOurs: false,
    ended: { at: NOW, signal: "SIGKILL", code: 137 },
    gone: Promise.resolve(),
    ...change,
  };
}

function program(
  name: "guard" | "watch",
  events: ReportedEvent[],
  change: Partial<Program> = {},
): Program {
  return {
    name,
    pid: 1,
    words: [],
    started: NOW - 60_000,
    armed: NOW - 60_000,
    stops: [],
    events,
    stderrLines: [],
    ready: Promise.resolve(true),
    gone: Promise.resolve(),
    ...change,
  };
}

const guardKill = {
  type: "action",
  action: "process",
  ts: "2026-01-01T00:00:00.000000Z",
  cgroup: CGROUP,
  dry_run: false,
  outcome: "killed",
  usage_before: 62,
  level_bytes: 60,
  limit: 4096,
  killed_cgroup: null,
  victim: { pid: 7, comm: "tail", cgroup: CGROUP },
};
const kill = { type: "oom_kill", ts: guardKill.ts, cgroup: CGROUP, victim: { pid: 7 } };

function facts(change: Partial<Facts> = {}): Facts {
  return {
    allocators: [allocator()],
    kernelKills: [],
    programs: [program("guard", [guardKill])],
    guarded: GUARDED,
    limits: new Map([["/soak", [4096 + 5]]]),
    ...change,
  };
}

const withKill = (change: Record<string, unknown>) =>
  facts({ programs: [program("guard", [{ ...guardKill, ...change }])] });

Deno.test("a seed repeats its draws, and another seed gives others", () => {
  const draw = (seed: number) => {
    const random = new Random(seed);
    return Array.from({ length: 50 }, () => random.below(1000));
  };
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
  const random = new Random(0);
  const heads = Array.from({ length: 10_000 }, () => random.chance(25)).filter(Boolean).length;
  assert.ok(heads > 2200 && heads < 2800, String(heads));
  assert.ok(
    random.weighed([{ weight: 0, name: "never" }, { weight: 1, name: "ever" }]).name === "ever",
  );
});

Deno.test("the programs run for longer and longer between disruptive rounds", () => {
  const disruptive = Array.from({ length: 12 }, (_, at) => at).filter(isDisruptive);
  assert.deepEqual(disruptive, [0, 2, 5, 9]);
});

Deno.test("a kill above the level in a guarded cgroup is right", () => {
  assert.deepEqual(wrongKills(facts()), []);
});

Deno.test("a kill that is too early, in another cgroup, at a wrong limit, of an unknown, protected or moved process is a finding", () => {
  const wrong = (given: Facts, expected: RegExp) =>
    assert.match(wrongKills(given).join(), expected);
  wrong(withKill({ usage_before: 59 }), /usage 59 is below 60/);
  wrong(withKill({ cgroup: "/soak/outside" }), /it is not guarded/);
  wrong(withKill({ limit: 8192 }), /8192 was never a limit there/);
  wrong(
    withKill({ victim: { ...guardKill.victim, pid: 8 } }),
    /pid 8 \(tail\) is not a process of this soak/,
  );
  wrong(facts({ allocators: [allocator({ isProtected: true })] }), /pid 7 is protected/);
  const places = [{ path: "/soak/outside/quiet", since: NOW - 3000 }];
  wrong(facts({ allocators: [allocator({ places })] }), /pid 7 was in \/soak\/outside\/quiet/);
});

Deno.test("every killed process was killed by the soak, the kernel or a guard that reports it", () => {
  assert.deepEqual(deaths(facts()).counts.won, 1);
  const silent = facts({ programs: [program("guard", [])] });
  assert.match(deaths(silent).wrongs.join(), /neither the kernel nor a guard reports it/);
  const byKernel = { ...silent, kernelKills: [{ pid: 7, at: NOW }] };
  assert.deepEqual([deaths(byKernel).wrongs, deaths(byKernel).counts.lost], [[], 1]);
  const ours = { ...silent, allocators: [allocator({ isOurs: true })] };
  assert.deepEqual(deaths(ours).wrongs, []);
  const cutOff = program("guard", [], { ending: { at: NOW + 10, signal: "SIGKILL" } });
  assert.deepEqual(deaths({ ...silent, programs: [cutOff] }).counts.unreported, 1);
});

Deno.test("a watch that ran meanwhile reports each kernel kill, once", () => {
  const findings = (events: ReportedEvent[], change: Partial<Program> = {}) =>
    unreportedKills(facts({
      kernelKills: [{ pid: 7, at: NOW }],
      programs: [program("watch", events, change)],
    }));
  assert.deepEqual(findings([kill]), []);
  assert.match(findings([]).join(), /was not reported/);
  assert.match(findings([kill, kill]).join(), /was reported 2 times/);
  assert.deepEqual(findings([], { stops: [{ from: NOW - 100, to: NOW + 100 }] }), []);
  assert.deepEqual(findings([], { armed: NOW - 100 }), []);
});

Deno.test("costs that have grown are named, garbage is not", () => {
  const base: Costs = {
    anonymous: 40 * 2 ** 20,
    resident: 0,
    descriptors: 50,
    epollEntries: 20,
    inotifyWatches: 5,
  };
  assert.deepEqual(growth(base, { ...base, anonymous: 60 * 2 ** 20, descriptors: 56 }), []);
  assert.deepEqual(growth(base, { ...base, descriptors: 150, inotifyWatches: 10 }), [
    "descriptors: 50 at first, 150 now",
    "inotifyWatches: 5 at first, 10 now",
  ]);
  assert.match(growth(base, { ...base, anonymous: 90 * 2 ** 20 }).join(), /anonymous: 40 at first/);
});

Deno.test("a stack trace, a control character and an unknown line are findings on stderr", () => {
  assert.equal(unexpectedReason("guarding 1 cgroup"), undefined);
  assert.equal(unexpectedReason("    at file:///x.js:1:2"), "a stack trace");
  assert.equal(unexpectedReason("guarding \x1b[31m"), "a control character");
  assert.equal(unexpectedReason("something happened"), "an unknown line");
});

Deno.test("the kernel's victim is read from its log", () => {
  const text = "Memory cgroup out of memory: Killed process 42 (tail) total-vm:1kB";
  assert.equal(killedPid(`3,1,2,-;${text}`), 42);
  assert.equal(killedPid(`3,1,2,-;Out of memory: Killed process 43 (x) total-vm:1kB`), 43);
  assert.equal(killedPid("6,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,pid=42"), undefined);
});
