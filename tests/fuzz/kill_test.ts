/**
 * The guard's own steps over a cgroup that is a folder: usage, page cache and members that are otherwise at each look. It
 * rehearses, so that nobody is harmed; what it says it would do must be right, and it must let go of all that it held.
 */

import assert from "node:assert/strict";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { createKillExecutor } from "../../core/guard/thread/kill.ts";
import { type CgroupSpec, flatten, type Report } from "../../core/guard/thread/protocol.ts";
import { updateTrend } from "../../core/guard/thread/cgroup_state.ts";
import type { GuardPolicy } from "../../core/guard/policy.ts";
import { WARM_UP_POLICY } from "../../core/guard/thread/warmup.ts";
import {
  type CgroupState,
  closeCgroupState,
  openCgroupState,
  pageCacheOf,
  resolvePolicy,
} from "../../core/guard/thread/cgroup_state.ts";
import { libc } from "../../core/kernel/libc.ts";
import { levelBytesOf, levelOf, NOTIFY_MARGIN } from "../../core/policy/levels.ts";
import { startKillCycle } from "../../core/policy/kill_cycle.ts";
import { makeTree } from "../helpers/trees.ts";
import { fc } from "./cases.ts";
import { MIB } from "./observations.ts";

// Loaded once and for all, which is no leak of a test.
libc();

const LIMIT = 64 * MIB;
const levelBytes = levelBytesOf(LIMIT, { warn: 65, critical: 90, margin: NOTIFY_MARGIN })!;

interface Crowd extends AsyncDisposable {
  readonly pids: readonly number[];
}

function gather(count: number): Crowd {
  const options = { stdin: "piped", stdout: "null" } as const;
  const children = Array.from({ length: count }, () => new Deno.Command("cat", options).spawn());
  return {
    pids: children.map(({ pid }) => pid),
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(children.map(({ status, stdin }) => status.then(() => stdin.close())));
    },
  };
}

const share = fc.oneof(
  fc.double({ min: 0, max: 1.1, noNaN: true }),
  fc.double({ min: 0.97, max: 1, noNaN: true }),
);
const moment = fc.record({
  usage: share,
  cache: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
  isThere: fc.boolean(),
});
const settings = fc.record({
  deed: fc.constantFrom("process", "container"),
  base: fc.constantFrom("usage", "working-set"),
  graceMs: fc.constantFrom(0, 50),
  reclaim: fc.boolean(),
});

const openFiles = () => [...Deno.readDirSync("/proc/self/fd")].length;

/** A look as `core/guard/thread/loop.ts` takes it. */
function lookAt(state: CgroupState, killExecutor: ReturnType<typeof createKillExecutor>): void {
  const now = performance.now();
  updateTrend(state, state.usageFile.number()!, now);
  const reached = levelOf(levelBytes, state.usage);
  if (!state.killCycle && reached === "imminent" && now >= state.retryAt) {
    state.killCycle = { cycle: startKillCycle(now), level: reached, since: now };
  }
  if (state.killCycle) {
    killExecutor.runStep(state, now);
    assert.ok(
      state.nextPollAt >= now && state.nextPollAt <= now + 1000,
      `${state.nextPollAt - now} ms`,
    );
  } else if (reached) killExecutor.selection(state, now, reached, false);
}

Deno.test("whatever is seen, the guard would strike only above the level, only who may be struck, and holds nothing after", async () => {
  await using crowd = gather(3);
  const [own, fair, kept] = crowd.pids as [number, number, number];
  using tree = makeTree(2, {
    "/a": { "memory.max": LIMIT, "cgroup.procs": `${own}\n${fair}\n` },
    "/a/kept": { "cgroup.procs": `${kept}\n` },
  });
  const cgroup = openCgroup(discover(tree.dir), "/a")!;
  const spec: CgroupSpec = {
    id: 1,
    policy: 0,
    limitOwner: flatten(cgroup),
    scope: flatten(cgroup),
    limit: LIMIT,
    levelBytes,
    mode: "notify",
    oomTotalBytes: LIMIT,
    eventfds: [],
  };
  const before = openFiles();
  fc.assert(
    fc.property(settings, fc.array(moment, { maxLength: 12 }), (settings, moments) => {
      const { deed, base, graceMs, reclaim } = settings;
      const policy: GuardPolicy = {
        ...WARM_UP_POLICY,
        metric: base as GuardPolicy["metric"],
        dryRun: true,
        timeouts: { reclaim, graceMs, killMs: 500 },
        actions: { warn: [], critical: [], imminent: [{ kind: deed as "process" }] },
        protectedPids: new Set([own]),
      };
      const state = openCgroupState(spec, resolvePolicy(policy))!;
      const said: Report[] = [];
      const killExecutor = createKillExecutor({
        states: () => [state],
        isExcluded: (path) => path === "/a/kept",
        say: (message) => void said.push(message),
      });
      for (const { usage, cache, isThere } of moments) {
        const bytes = Math.floor(LIMIT * usage);
        const file = cache === undefined ? undefined : Math.floor(bytes * cache);
        tree.write("/a", "memory.current", bytes);
        tree.write(
          "/a",
          "memory.stat",
          file === undefined ? "" : `inactive_file ${file}\nactive_file 0\n`,
        );
        tree.write("/a", "cgroup.procs", isThere ? `${own}\n${fair}\n` : `${own}\n`);
        const first = said.length;
        lookAt(state, killExecutor);
        for (const message of said.slice(first)) {
          if (message.type !== "kill") continue;
          const { outcome, victim, before, stat } = message.kill;
          assert.ok(before >= levelBytes.imminent && before === bytes, `at ${before} of ${bytes}`);
          // What was read of memory.stat within the last millisecond counts.
          const { inactiveFile = 0 } = pageCacheOf(stat);
          const value = base === "usage" ? bytes : bytes - inactiveFile;
          assert.ok(value >= levelBytes.imminent, `the ${base} is ${value}`);
          // Of a container all are struck that are left, though the one at whom it was aimed may have gone.
          const isMet = isThere;
          if (outcome === "dry_run") assert.equal(victim?.pid, isMet ? fair : undefined);
          else assert.equal(outcome, "failed");
          assert.equal(state.killCycle, undefined);
        }
      }
      killExecutor.cancel(state, performance.now());
      closeCgroupState(state);
    }),
  );
  assert.equal(openFiles(), before);
});
