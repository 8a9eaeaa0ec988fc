import assert from "node:assert/strict";
import { replaceCall } from "../../../helpers/replaced_calls.ts";
import { openCgroup } from "../../../../core/cgroup/cgroup.ts";
import { discover } from "../../../../core/cgroup/hierarchy.ts";
import { singlePolicy } from "../../../../core/guard/policy.ts";
import { MonitorLoop } from "../../../../core/guard/thread/loop.ts";
import { flatten } from "../../../../core/guard/thread/protocol.ts";
import { WARM_UP_POLICY } from "../../../../core/guard/thread/warmup.ts";
import { idleEpoll } from "../../../helpers/guarded_tree.ts";
import { makeTree } from "../../../helpers/trees.ts";

const MIB = 1024 ** 2;
const MS_TO_READ = 0.02;

let reads = 0;
replaceCall<unknown[], number>("pread", (real) => (...values) => {
  reads += 1;
  return real(...values);
});

/** Time passes only by reads. @returns how many reads poll `count` cgroups that are due at the same time. */
function readsToPoll(count: number): number {
  const paths = Array.from({ length: count }, (_, n) => `/c${n}`);
  using tree = makeTree(
    1,
    Object.fromEntries(paths.map((path) => [path, { "memory.usage_in_bytes": MIB }])),
  );
  const { now } = performance;
  using _clock = { [Symbol.dispose]: () => void (performance.now = now) };
  performance.now = () => MS_TO_READ * reads;
  const hierarchy = discover(tree.dir);
  const seen = new Set<number>();
  const loop = new MonitorLoop(singlePolicy(WARM_UP_POLICY), idleEpoll, (report) => {
    if (report.type === "level_reached") seen.add(report.id);
  });
  for (const [id, path] of paths.entries()) {
    const cgroup = flatten(openCgroup(hierarchy, path)!);
    loop.add({
      id,
      policy: 0,
      limitOwner: cgroup,
      scope: cgroup,
      limit: 64 * MIB,
      levelBytes: { warn: 32 * MIB, critical: 48 * MIB, imminent: 60 * MIB },
      oomTotalBytes: 64 * MIB,
      canSwap: false,
      mode: "notify",
      eventfds: [],
    });
  }
  for (let turn = 0; turn < count; turn++) loop.runOnce();
  for (const path of paths) tree.write(path, "memory.usage_in_bytes", 40 * MIB);
  // Makes all of them due.
  for (const id of paths.keys()) loop.updateSettings(id, {});
  const before = reads;
  while (seen.size < count) loop.runOnce();
  const taken = reads - before;
  loop.close();
  return taken;
}

Deno.test("the reads to poll all cgroups that are due grow with their number, not with its square", () => {
  const few = readsToPoll(20) / 20;
  const many = readsToPoll(150) / 150;
  assert.ok(many < 2 * few, `${few} reads for each of few, ${many} for each of many`);
});
