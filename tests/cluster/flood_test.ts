/**
 * What a guard writes to a real API server while the kernel and the guard kill in loops: one node's share of docs/scale.md, by
 * `deno task cluster --filter flood`. The server's audit log counts; the figures are printed.
 */

import assert from "node:assert/strict";
import { note } from "../../scripts/terminal.ts";
import type { Json } from "../helpers/event_stream.ts";
import { killActionsOf } from "../helpers/guarded.ts";
import { allocateUntilKilled, MIB } from "../helpers/kernel_cases.ts";
import type { RealCgroup } from "../helpers/real_cgroup.ts";
import { type Cluster, startCluster, type Write } from "./cluster.ts";
import { eventsOf, withGuardedPods } from "./guarded_pods.ts";

const LIMIT = 12 * MIB;
/** `objectBurst` and `msPerObjectRequest` of core/receivers/kubernetes/receiver.ts. */
const OBJECT_BURST = 25;
const SECONDS_PER_OBJECT_WRITE = 300;
/** `requestBurst` and `msPerRequest`, of two lanes: kills and actions, and other events. */
const NODE_BURST = 2 * 100;
const SECONDS_PER_NODE_WRITE = 10 / 2;

interface Flood {
  readonly seconds: number;
  readonly writes: readonly Write[];
}

/** Has one process after the other killed, in one container after the other. */
async function flood(
  { eventWrites }: Cluster,
  containers: readonly RealCgroup[],
  isEnough: (seconds: number) => boolean,
): Promise<Flood> {
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  while (!isEnough(seconds())) {
    for (const container of containers) await allocateUntilKilled(container);
  }
  // In this order: what is written later would not count.
  return { writes: eventWrites(), seconds: seconds() };
}

function show(what: string, events: readonly Json[], { seconds, writes }: Flood): void {
  const count = (verb: Write["verb"]) => writes.filter((write) => write.verb === verb).length;
  note(
    `${what}: ${events.length} events in ${seconds.toFixed(0)} s are ${count("create")} POST and ${
      count("patch")
    } PATCH`,
  );
}

Deno.test("flood: a container that is killed in a loop causes 25 writes, then one per five minutes", async () => {
  await using cluster = await startCluster();
  let all: readonly Json[] = [];
  await withGuardedPods(cluster, { pods: 1, containers: 1, limit: LIMIT }, async (guarded) => {
    const { pods: [pod], guarded: { events } } = guarded;
    // Each of the five kinds takes a write in 10 s.
    const ended = await flood(cluster, pod!.containers, (seconds) => seconds > 75);
    const { seconds, writes } = ended;
    all = events;
    show("one container", events, ended);
    assert.ok(writes.length <= OBJECT_BURST + seconds / SECONDS_PER_OBJECT_WRITE);
    // The flood is larger than the bound.
    assert.ok(writes.length >= OBJECT_BURST, `${writes.length} writes`);
  });
  // No count is lost: the rest is sent at the end.
  const killed = (await eventsOf(cluster)).filter(({ reason }) => reason === "OomGuardKillProcess");
  assert.equal(killed.reduce((sum, { count }) => sum + count, 0), killActionsOf(all).length);
});

Deno.test("flood: all containers of a node cause 200 writes, then one per five seconds", async () => {
  await using cluster = await startCluster();
  const shape = { pods: 40, containers: 3, limit: LIMIT };
  await withGuardedPods(cluster, shape, async ({ pods, guarded: { events } }) => {
    const containers = pods.flatMap((pod) => pod.containers);
    const ended = await flood(cluster, containers, () => events.length > 10 * NODE_BURST);
    const { seconds, writes } = ended;
    show(`${containers.length} containers`, events, ended);
    assert.ok(writes.length <= NODE_BURST + seconds / SECONDS_PER_NODE_WRITE);
    assert.ok(writes.length >= NODE_BURST, `${writes.length} writes`);
    for (const [pod, own] of Map.groupBy(writes, ({ name }) => name.split(".")[0])) {
      assert.ok(own.length <= OBJECT_BURST + seconds / SECONDS_PER_OBJECT_WRITE, pod);
    }
  });
});
