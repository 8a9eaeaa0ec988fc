import assert from "node:assert/strict";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { OomkitError } from "../../core/errors.ts";
import { SystemCallError } from "../../core/kernel/libc.ts";
import type { Body } from "../../core/events/event.ts";
import { ChangeDetector, counterDeltas } from "../../core/watch/change_detector.ts";
import { createWatchedCgroup, disarm, openUsageFile } from "../../core/watch/watched_cgroup.ts";
import { type Files, makeTree } from "../helpers/trees.ts";
import { isAbsence } from "./kinds.ts";
import { FROM_THE_FIRST, FROM_THE_SECOND, hurt, sweep, THE_FIRST, THE_SECOND } from "./sweep.ts";
import { untrue } from "./reported.ts";

const MIB = 1024 ** 2;

/** When the watch begins, and when it reads again: each file has changed. */
const BEFORE: Readonly<Record<1 | 2, Files>> = {
  1: {
    "memory.usage_in_bytes": 20 * MIB,
    "memory.max_usage_in_bytes": 21 * MIB,
    "memory.limit_in_bytes": 64 * MIB,
    "memory.failcnt": 1200,
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 120\n",
  },
  2: {
    "memory.current": 20 * MIB,
    "memory.peak": 21 * MIB,
    "memory.max": 64 * MIB,
    "memory.events": "low 0\nhigh 1100\nmax 1200\noom 130\noom_kill 120\noom_group_kill 110\n",
    "memory.events.local":
      "low 0\nhigh 1100\nmax 1200\noom 130\noom_kill 120\noom_group_kill 110\n",
  },
};
const AFTER: Readonly<Record<1 | 2, Readonly<Record<string, string | number>>>> = {
  1: {
    "memory.usage_in_bytes": 60 * MIB,
    "memory.max_usage_in_bytes": 61 * MIB,
    "memory.limit_in_bytes": 72 * MIB,
    "memory.failcnt": 1203,
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 121\n",
  },
  2: {
    "memory.current": 60 * MIB,
    "memory.peak": 61 * MIB,
    "memory.max": 72 * MIB,
    "memory.events": "low 0\nhigh 1102\nmax 1203\noom 131\noom_kill 121\noom_group_kill 111\n",
    "memory.events.local":
      "low 0\nhigh 1102\nmax 1203\noom 131\noom_kill 121\noom_group_kill 111\n",
  },
};
const RISES = new Set([0n, 1n, 2n, 3n]);

const COUNTERS = /memory\.(failcnt|oom_control|events|events\.local)$/;
const LASTING = [FROM_THE_FIRST, FROM_THE_SECOND];
const SPANS = [THE_FIRST, FROM_THE_SECOND];

/** Begins to watch, and reads three times more, without a kernel to wake it. */
function watchOnce(version: 1 | 2) {
  const tree = makeTree(version, { "/a": BEFORE[version] });
  const cgroup = openCgroup(discover(tree.dir), "/a")!;
  const rewrite = (files: Files) => {
    for (const [file, content] of Object.entries(files)) tree.write("/a", file, content!);
  };
  const run = () => {
    rewrite(BEFORE[version]);
    const events: Body[] = [];
    let counted = 0n;
    const thresholds = [{ bytes: 48 * MIB }];
    const detector = new ChangeDetector({
      options: { scopes: [], thresholds, pressureLevels: [], psi: [] },
      kills: { counted: (_, count) => void (counted += count) },
      emit: (_cgroup, _source, body) => void events.push(body),
      watchedCount: () => 1,
    });
    const origin = {
      isTarget: true,
      representsSubtree: true,
      isNew: false,
      removedKills: undefined,
    };
    const watched = createWatchedCgroup(cgroup, origin);
    if (!watched) return { events, counted, deltas: undefined };
    detector.setThresholds(watched);
    openUsageFile(watched);
    rewrite(AFTER[version]);
    try {
      for (let reads = 0; reads < 3; reads++) {
        if (detector.refresh(watched, "poll", performance.now())) {
          detector.pollUsage(watched, performance.now());
        }
      }
      detector.flush(watched);
      return { events, counted, deltas: counterDeltas(watched) };
    } finally {
      disarm(watched);
    }
  };
  return { tree, cgroup, run };
}

for (const version of [1, 2] as const) {
  Deno.test(`v${version}: whatever is misread, a watch reports no wrong number`, () => {
    const { tree, cgroup, run } = watchOnce(version);
    using _ = tree;
    const truth = run();
    assert.equal(truth.counted, 1n);
    const usages = new Set([20, 60].map((mib) => mib * MIB));
    const limits = new Set([64, 72].map((mib) => mib * MIB));
    const peaks = new Set([20, 21, 60, 61].map((mib) => mib * MIB));
    const { tried } = sweep(
      run,
      ({ path, fault }, outcome) => {
        if ("thrown" in outcome) {
          const { thrown } = outcome;
          assert.ok(
            thrown instanceof OomkitError || thrown instanceof SystemCallError,
            String(thrown),
          );
          return assert.ok(thrown.message.includes(path) || isAbsence(fault), thrown.message);
        }
        const { events, counted, deltas } = outcome.result;
        assert.ok(RISES.has(counted) && counted <= 1n, `${counted} kills`);
        for (const body of events) {
          if ("count" in body) assert.ok(RISES.has(BigInt(body.count ?? 0)), Deno.inspect(body));
          if ("usage" in body && body.usage !== null) {
            assert.ok(usages.has(body.usage) || peaks.has(body.usage), Deno.inspect(body));
          }
          if ("limit" in body && body.limit !== null) assert.ok(limits.has(body.limit));
          if (body.type === "limit_changed") {
            assert.deepEqual(
              untrue({ from: 64 * MIB, to: 72 * MIB }, { from: body.from, to: body.to }),
              [],
            );
          }
        }
        const { peak = null, limit = null, ...counts } = deltas ?? {};
        // A cgroup that seems to be gone has the values that were last read.
        if (path !== cgroup.dir) {
          assert.deepEqual(untrue(truth.deltas, { ...counts, oom: null }), []);
        }
        assert.ok(peak === null || peaks.has(peak), String(peak));
        assert.ok(limit === null || limits.has(limit), String(limit));
      },
      ({ path }) => path.startsWith(cgroup.dir),
      [],
      (path) => COUNTERS.test(path) ? LASTING : SPANS,
    );
    assert.ok(tried > 100, String(tried));
  });
}

for (const version of [1, 2] as const) {
  for (const span of [THE_FIRST, THE_SECOND]) {
    Deno.test({
      name:
        `v${version}: counters that could not be read at access ${span.from} are not reported as new afterwards`,
      fn() {
        const { tree, run } = watchOnce(version);
        using _ = tree;
        const files = version === 1
          ? ["memory.failcnt", "memory.oom_control"]
          : ["memory.events", "memory.events.local"];
        const fault = { name: "cut off", moment: "read", alter: () => new Uint8Array() } as const;
        const faults = files.map((file) => ({ path: `${tree.dir}/a/${file}`, fault, ...span }));
        const { outcome } = hurt(run, faults);
        assert.ok("result" in outcome);
        const { events, counted } = outcome.result;
        assert.ok(counted <= 1n, `${counted} kills`);
        for (const body of events) {
          if ("count" in body) assert.ok(RISES.has(BigInt(body.count ?? 0)), Deno.inspect(body));
        }
      },
    });
  }
}
