/**
 * The guard's own steps over a cgroup that is a folder: usage, page cache and members that are otherwise at each look. It
 * rehearses, so that nobody is harmed; what it says it would do must be right, and it must let go of all that it held.
 */

import assert from "node:assert/strict";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { createFight } from "../../core/guard/fight.ts";
import { flatten, type Message, type WardSpec } from "../../core/guard/messages.ts";
import { measure } from "../../core/guard/measure.ts";
import type { GuardPlan } from "../../core/guard/plan.ts";
import { REHEARSED } from "../../core/guard/rehearsal.ts";
import { cacheOf, closeWard, openWard, ordersOf, type Ward } from "../../core/guard/ward.ts";
import { libc } from "../../core/kernel/libc.ts";
import { boundsOf, levelOf, NOTIFIED_MARGIN } from "../../core/policy/bounds.ts";
import { engage } from "../../core/policy/engagement.ts";
import { makeTree } from "../trees.ts";
import { fc } from "./cases.ts";
import { MIB } from "./sights.ts";

// Loaded once and for all, which is no leak of a test.
libc();

const LIMIT = 64 * MIB;
const bounds = boundsOf(LIMIT, { warn: 65, critical: 90, margin: NOTIFIED_MARGIN })!;

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
  grace: fc.constantFrom(0, 50),
  reclaim: fc.boolean(),
});

const openFiles = () => [...Deno.readDirSync("/proc/self/fd")].length;

/** A look as `core/guard/sentry.ts` takes it. */
function lookAt(ward: Ward, fight: ReturnType<typeof createFight>): void {
  const now = performance.now();
  measure(ward, ward.usageFile.number()!, now);
  const reached = levelOf(bounds, ward.usage);
  if (!ward.engagement && reached === "threshold" && now >= ward.idleUntil) {
    ward.engagement = { state: engage(now), level: reached, since: now };
  }
  if (ward.engagement) {
    fight.proceed(ward, now);
    assert.ok(ward.nextLook >= now && ward.nextLook <= now + 1000, `${ward.nextLook - now} ms`);
  } else if (reached) fight.aim(ward, now, reached, false);
}

Deno.test("whatever is seen, the guard would strike only above the level, only who may be struck, and holds nothing after", async () => {
  await using crowd = gather(3);
  const [own, fair, kept] = crowd.pids as [number, number, number];
  using tree = makeTree(2, {
    "/a": { "memory.max": LIMIT, "cgroup.procs": `${own}\n${fair}\n` },
    "/a/kept": { "cgroup.procs": `${kept}\n` },
  });
  const cgroup = openCgroup(discover(tree.dir), "/a")!;
  const spec: WardSpec = {
    id: 1,
    plan: 0,
    measured: flatten(cgroup),
    scope: flatten(cgroup),
    limit: LIMIT,
    bounds,
    mode: "notify",
    capacity: LIMIT,
    eventfds: [],
  };
  const before = openFiles();
  fc.assert(
    fc.property(settings, fc.array(moment, { maxLength: 12 }), (settings, moments) => {
      const { deed, base, grace, reclaim } = settings;
      const plan: GuardPlan = {
        ...REHEARSED,
        base: base as GuardPlan["base"],
        dryRun: true,
        patience: { reclaim, grace, death: 500 },
        actions: { warn: [], critical: [], threshold: [{ kind: deed as "process" }] },
        untouchable: new Set([own]),
      };
      const ward = openWard(spec, ordersOf(plan))!;
      const said: Message[] = [];
      const fight = createFight({
        wards: () => [ward],
        isKept: (path) => path === "/a/kept",
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
        lookAt(ward, fight);
        for (const message of said.slice(first)) {
          if (message.say !== "blow") continue;
          const { outcome, victim, before, stat } = message.blow;
          assert.ok(before >= bounds.threshold && before === bytes, `at ${before} of ${bytes}`);
          // What was read of memory.stat within the last millisecond counts.
          const { inactiveFile = 0 } = cacheOf(stat);
          const value = base === "usage" ? bytes : bytes - inactiveFile;
          assert.ok(value >= bounds.threshold, `the ${base} is ${value}`);
          // Of a container all are struck that are left, though the one at whom it was aimed may have gone.
          const isMet = isThere;
          if (outcome === "would") assert.equal(victim?.pid, isMet ? fair : undefined);
          else assert.equal(outcome, "failed");
          assert.equal(ward.engagement, undefined);
        }
      }
      fight.abandon(ward, performance.now());
      closeWard(ward);
    }),
  );
  assert.equal(openFiles(), before);
});
