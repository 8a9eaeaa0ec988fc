import assert from "node:assert/strict";
import type { Costs } from "../../scripts/bench/process_costs.ts";
import type { AllocatorProgram } from "../../scripts/soak/allocators.ts";
import { growth } from "../../scripts/soak/growth.ts";
import { killedPid } from "../../scripts/soak/kernel_kills.ts";
import { strangeLine } from "../../scripts/soak/known_words.ts";
import { deaths, type Facts, untoldKills, wrongBlows } from "../../scripts/soak/expectations.ts";
import type { Program, Told } from "../../scripts/soak/program.ts";
import { makeRandom } from "../../scripts/soak/random.ts";
import { isDisruptive } from "../../scripts/soak/soak.ts";

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

function program(name: "guard" | "watch", events: Told[], change: Partial<Program> = {}): Program {
  return {
    name,
    pid: 1,
    words: [],
    started: NOW - 60_000,
    armed: NOW - 60_000,
    stops: [],
    events,
    said: [],
    ready: Promise.resolve(true),
    gone: Promise.resolve(),
    ...change,
  };
}

const blow = {
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
const kill = { type: "oom_kill", ts: blow.ts, cgroup: CGROUP, victim: { pid: 7 } };

function facts(change: Partial<Facts> = {}): Facts {
  return {
    allocators: [allocator()],
    kernelKills: [],
    programs: [program("guard", [blow])],
    guarded: GUARDED,
    limits: new Map([["/soak", [4096 + 5]]]),
    ...change,
  };
}

const blown = (change: Record<string, unknown>) =>
  facts({ programs: [program("guard", [{ ...blow, ...change }])] });

Deno.test("a seed draws the same again, and another seed something else", () => {
  const draw = (seed: number) => {
    const random = makeRandom(seed);
    return Array.from({ length: 50 }, () => random.below(1000));
  };
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
  const random = makeRandom(0);
  const heads = Array.from({ length: 10_000 }, () => random.chance(25)).filter(Boolean).length;
  assert.ok(heads > 2200 && heads < 2800, String(heads));
  assert.ok(
    random.weighed([{ weight: 0, name: "never" }, { weight: 1, name: "ever" }]).name === "ever",
  );
});

Deno.test("a soak leaves the programs at work for longer and longer", () => {
  const rough = Array.from({ length: 12 }, (_, at) => at).filter(isDisruptive);
  assert.deepEqual(rough, [0, 2, 5, 9]);
});

Deno.test("a blow above the threshold at who is guarded is right", () => {
  assert.deepEqual(wrongBlows(facts()), []);
});

Deno.test("a blow too early, elsewhere, at another's limit, at a stranger, at a protected or a moved one is a finding", () => {
  const wrong = (given: Facts, expected: RegExp) =>
    assert.match(wrongBlows(given).join(), expected);
  wrong(blown({ usage_before: 59 }), /usage 59 is below 60/);
  wrong(blown({ cgroup: "/soak/outside" }), /it is not guarded/);
  wrong(blown({ limit: 8192 }), /8192 was never a limit there/);
  wrong(blown({ victim: { ...blow.victim, pid: 8 } }), /pid 8 \(tail\) is none of ours/);
  wrong(facts({ allocators: [allocator({ isProtected: true })] }), /pid 7 is protected/);
  const places = [{ path: "/soak/outside/quiet", since: NOW - 3000 }];
  wrong(facts({ allocators: [allocator({ places })] }), /pid 7 was in \/soak\/outside\/quiet/);
});

Deno.test("every death has somebody who says that it was him", () => {
  assert.deepEqual(deaths(facts()).tally.won, 1);
  const silent = facts({ programs: [program("guard", [])] });
  assert.match(deaths(silent).wrongs.join(), /neither the kernel nor a guard says why/);
  const byKernel = { ...silent, kernelKills: [{ pid: 7, at: NOW }] };
  assert.deepEqual([deaths(byKernel).wrongs, deaths(byKernel).tally.lost], [[], 1]);
  const ours = { ...silent, allocators: [allocator({ isOurs: true })] };
  assert.deepEqual(deaths(ours).wrongs, []);
  const cutOff = program("guard", [], { ending: { at: NOW + 10, signal: "SIGKILL" } });
  assert.deepEqual(deaths({ ...silent, programs: [cutOff] }).tally.untold, 1);
});

Deno.test("the kernel's kill is told by a watch that was there, once", () => {
  const events = (events: Told[], change: Partial<Program> = {}) =>
    untoldKills(facts({
      kernelKills: [{ pid: 7, at: NOW }],
      programs: [program("watch", events, change)],
    }));
  assert.deepEqual(events([kill]), []);
  assert.match(events([]).join(), /was not told/);
  assert.match(events([kill, kill]).join(), /was told 2 times/);
  assert.deepEqual(events([], { stops: [{ from: NOW - 100, to: NOW + 100 }] }), []);
  assert.deepEqual(events([], { armed: NOW - 100 }), []);
});

Deno.test("what has grown is named, garbage is not", () => {
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

Deno.test("a stack trace, a control character and a line that nobody knows are findings on stderr", () => {
  assert.equal(strangeLine("guarding 1 cgroup"), undefined);
  assert.equal(strangeLine("    at file:///x.js:1:2"), "a stack trace");
  assert.equal(strangeLine("guarding \x1b[31m"), "a control character");
  assert.equal(strangeLine("something happened"), "an unknown line");
});

Deno.test("the kernel's victim is read from its log", () => {
  const text = "Memory cgroup out of memory: Killed process 42 (tail) total-vm:1kB";
  assert.equal(killedPid(`3,1,2,-;${text}`), 42);
  assert.equal(killedPid(`3,1,2,-;Out of memory: Killed process 43 (x) total-vm:1kB`), 43);
  assert.equal(killedPid("6,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,pid=42"), undefined);
});
