/** How many requests an OOM storm causes, with the limits of the receiver, in virtual time: figures of docs/scale.md. */

import assert from "node:assert/strict";
import { type Body, makeEvent, type OomkitEvent } from "../../../../core/events/event.ts";
import {
  type Answer,
  type ApiRequest,
  KubernetesApi,
} from "../../../../core/receivers/kubernetes/api.ts";
import { PodWatcher } from "../../../../core/receivers/kubernetes/pods.ts";
import { KubernetesReceiver } from "../../../../core/receivers/kubernetes/receiver.ts";
import { actionFields } from "../../../helpers/guard_events.ts";
import { type KubernetesServer, startKubernetes } from "../../../helpers/kubernetes_api.ts";
import { idOf, podShape, uidOf } from "../../../helpers/kubernetes_pod.ts";
import {
  action,
  cgroupOf,
  isPatch,
  isPost,
  level,
  oomKill,
  stored,
} from "../../../helpers/kubernetes_reporting.ts";
import { VirtualTime } from "../../../helpers/virtual_time.ts";

/** Knows when a request is on its way: virtual time must stand still meanwhile. */
class CountingApi extends KubernetesApi {
  readonly #inFlight = new Set<Promise<Answer>>();

  override send(request: ApiRequest, ending?: AbortSignal): Promise<Answer> {
    const answer = super.send(request, ending).finally(() => this.#inFlight.delete(answer));
    this.#inFlight.add(answer);
    return answer;
  }

  async settle(turn: () => Promise<void>): Promise<void> {
    do {
      await Promise.all(this.#inFlight);
      await turn();
    } while (this.#inFlight.size > 0);
  }
}

interface Storm {
  readonly receiver: KubernetesReceiver;
  /** Reports `events()` every `everyMs` of virtual time, for `seconds`. */
  last(seconds: number, everyMs: number, events: () => Iterable<OomkitEvent>): Promise<void>;
}

/** Runs `storm` with the receiver that a guard opens, once it knows all pods. */
async function inStorm(server: KubernetesServer, storm: (storm: Storm) => Promise<void>) {
  const { url, tokenFile, caFile } = server;
  const warn = () => {};
  const api = new CountingApi({ url, tokenFile, caFile, warn });
  const pods = new PodWatcher(api, "node-1", { warn, changed: () => {} });
  await pods.ready;
  try {
    using time = new VirtualTime((turn) => api.settle(turn));
    const describe = ({ type }: OomkitEvent) => `event ${type}`;
    const receiver = new KubernetesReceiver({ api, pods, node: "node-1", describe, warn });
    let now = 0;
    const last: Storm["last"] = async (seconds, everyMs, events) => {
      for (const end = now + 1000 * seconds; now < end; now += everyMs) {
        await time.advanceTo(now);
        for (const event of events()) receiver.report(event, "");
      }
      await time.advanceTo(now);
    };
    try {
      await storm({ receiver, last });
    } finally {
      const closed = receiver.close();
      await time.advanceTo(now + MAX_CLOSE_MS);
      await closed;
    }
  } finally {
    await pods.close();
    api.close();
  }
}

/** More than the receiver takes. */
const MAX_CLOSE_MS = 10_000;

/** One event of each kind that a guard reports of a container as an Event of its own. */
function everyKind(cgroup: string): OomkitEvent[] {
  const bare = (body: Body) => makeEvent(0, cgroup, "none", body);
  const kills = (["process", "container"] as const).flatMap((name) =>
    (["killed", "failed", "survived"] as const).map((outcome) =>
      action(cgroup, { action: name, outcome })
    )
  );
  const failed = { ...actionFields, outcome: "failed" } as const;
  const restored = { type: "restored", set: "1", before: "0", outcome: "failed" } as const;
  return [
    oomKill(cgroup),
    oomKill(cgroup, "system"),
    ...kills,
    bare({ ...failed, action: "signal", signal: "SIGTERM", count: 0 }),
    bare({ ...failed, action: "reclaim" }),
    bare({ ...failed, action: "exec" }),
    bare({ type: "oom", count: 1n, usage: null, limit: null, limit_owner: null }),
    level(cgroup, "critical"),
    level(cgroup, "imminent"),
    bare({ ...restored, file: "memory.high", reason: "r" }),
    bare({ ...restored, file: "memory.oom_control", reason: "r" }),
  ];
}

const reporting = (server: KubernetesServer) =>
  server.seen.filter((seen) => isPost(seen) || isPatch(seen)).length;

const SECONDS = 60;
/** `requestBurst` and `msPerRequest` of two lanes: kills and actions, and other events. */
const MAX_REQUESTS = 2 * (100 + SECONDS / 10);
/** `objectBurst` and `msPerObjectRequest`. */
const MAX_REQUESTS_OF_OBJECT = 25;
const SECONDS_PER_REQUEST_OF_OBJECT = 300;

Deno.test("9,600 events of one container within a minute are 16 Events and 25 requests, then one per five minutes", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape({ containers: { [idOf(7)]: "nginx" } }));
  await inStorm(server, async ({ last, receiver }) => {
    const events = everyKind(cgroupOf(1, 7));
    assert.equal(events.length, 16);
    await last(SECONDS, 100, () => events);
    assert.equal(server.events.size, 16);
    assert.equal(reporting(server), MAX_REQUESTS_OF_OBJECT);
    const minutes = 30;
    await last(60 * minutes, 1000, () => events);
    const later = reporting(server) - MAX_REQUESTS_OF_OBJECT;
    const most = 60 * minutes / SECONDS_PER_REQUEST_OF_OBJECT;
    assert.ok(later >= most - 1 && later <= most + 1, String(later));
    assert.equal(receiver.counts().dropped, 0);
  });
  // No count is lost: the rest is sent at the end.
  assert.deepEqual(stored(server).map(({ count }) => count), Array(16).fill(600 + 1800));
});

Deno.test("a container that is killed in a loop takes no request from another one", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape({ containers: { [idOf(7)]: "nginx" } }));
  server.putPod(podShape({ uid: uidOf(2), name: "web-1", containers: { [idOf(8)]: "nginx" } }));
  await inStorm(server, async ({ last }) => {
    await last(600, 1000, () => everyKind(cgroupOf(1, 7)));
    const before = reporting(server);
    await last(1, 1000, () => [oomKill(cgroupOf(2, 8))]);
    assert.equal(reporting(server), before + 1);
  });
});

Deno.test("a storm in 750 containers causes at most 6 requests a minute in each lane, after 100", async () => {
  await using server = await startKubernetes();
  const cgroups: string[] = [];
  for (let pod = 1; pod <= 250; pod++) {
    const ids = [1, 2, 3].map((nth) => 10 * pod + nth);
    server.putPod(podShape({
      uid: uidOf(pod),
      name: `web-${pod}`,
      containers: Object.fromEntries(ids.map((id) => [idOf(id), `c${id}`])),
    }));
    cgroups.push(...ids.map((id) => cgroupOf(pod, id)));
  }
  const events = cgroups.flatMap((cgroup) => [
    oomKill(cgroup),
    action(cgroup, { action: "process" }),
    level(cgroup, "critical"),
    level(cgroup, "imminent"),
  ]);
  await inStorm(server, async ({ last, receiver }) => {
    await last(SECONDS, 5000, () => events);
    // The storm is larger than the bound.
    assert.equal(reporting(server), MAX_REQUESTS);
    const { sent, pending, dropped } = receiver.counts();
    assert.equal(sent + pending + dropped, SECONDS / 5 * events.length);
  });
});

Deno.test("a server that answers 429 gets at most 24 requests in a minute, and then 16 a minute", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape({ containers: { [idOf(7)]: "nginx" } }));
  server.misbehave = ({ method }) => method === "POST" ? "429" : undefined;
  const events = everyKind(cgroupOf(1, 7));
  await inStorm(server, async ({ last }) => {
    await last(SECONDS, 1000, () => events);
    const first = reporting(server);
    // Each lane: attempts after 0, 1, 2 and 4 s, two after 8 s, then two after each pause of 15 to 30 s.
    assert.ok(first >= 10 && first <= 24, String(first));
    await last(5 * SECONDS, 1000, () => events);
    const later = reporting(server) - first;
    assert.ok(later >= 5 && later <= 5 * 16 + 4, String(later));
  });
});
