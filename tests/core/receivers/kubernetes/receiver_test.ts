import assert from "node:assert/strict";
import { type Body, makeEvent, type OomkitEvent } from "../../../../core/events/event.ts";
import { oomGuardEvent } from "../../../../core/events/oom_guard.ts";
import { KubernetesApi } from "../../../../core/receivers/kubernetes/api.ts";
import { PodWatcher } from "../../../../core/receivers/kubernetes/pods.ts";
import { KubernetesReceiver } from "../../../../core/receivers/kubernetes/receiver.ts";
import { actionFields } from "../../../helpers/guard_events.ts";
import { startKubernetes } from "../../../helpers/kubernetes_api.ts";
import { idOf, podShape, uidOf } from "../../../helpers/kubernetes_pod.ts";
import {
  action,
  cgroupOf,
  isPatch,
  isPost,
  level,
  node,
  oomKill,
  openReceiver,
  reportAll,
  stored,
} from "../../../helpers/kubernetes_reporting.ts";

Deno.test("an Event on a pod is like the kubelet's, and names the container", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape({ containers: { [idOf(7)]: "nginx" } }));
  const { events: [event], lines } = await reportAll(server, [oomKill(cgroupOf(1, 7))]);
  const { metadata, ...rest } = event;
  assert.match(metadata.name, /^web-0\.[0-9a-f]{16}$/);
  assert.equal(metadata.namespace, "shop");
  assert.deepEqual(rest, {
    kind: "Event",
    apiVersion: "v1",
    involvedObject: {
      kind: "Pod",
      apiVersion: "v1",
      namespace: "shop",
      name: "web-0",
      uid: uidOf(1),
      fieldPath: "spec.containers{nginx}",
    },
    reason: "CgroupOOM",
    message: "event oom_kill",
    type: "Warning",
    count: 1,
    firstTimestamp: "2026-01-02T03:04:05Z",
    lastTimestamp: "2026-01-02T03:04:05Z",
    source: { component: "oomkit", host: "node-1" },
    reportingComponent: "oomkit",
    reportingInstance: "node-1",
  });
  assert.deepEqual(lines, []);
});

Deno.test("an event without a known pod is on the Node, with its cgroup in the message", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape());
  const otherPod = cgroupOf(2, 7);
  const { events } = await reportAll(server, [
    oomKill("/system.slice/a.service"),
    oomKill(otherPod),
  ]);
  for (const { involvedObject, metadata } of events) {
    assert.deepEqual(involvedObject, {
      kind: "Node",
      apiVersion: "v1",
      name: "node-1",
      uid: "node-1",
    });
    assert.equal(metadata.namespace, "default");
  }
  assert.deepEqual(events.map(({ message }) => message), [
    "event oom_kill (/system.slice/a.service)",
    `event oom_kill (${otherPod})`,
  ]);
});

Deno.test("a static pod's Event has the uid that kubectl describe looks for", async () => {
  await using server = await startKubernetes();
  const hash = "0123456789abcdef0123456789abcdef";
  server.putPod(podShape({
    name: "etcd-node-1",
    namespace: "kube-system",
    annotations: { "kubernetes.io/config.hash": hash, "kubernetes.io/config.mirror": hash },
    containers: { [idOf(7)]: "etcd" },
  }));
  const { events: [event] } = await reportAll(server, [
    oomKill(`/kubepods.slice/kubepods-pod${hash}.slice/cri-containerd-${idOf(7)}.scope`),
  ]);
  assert.equal(event.involvedObject.uid, hash);
  assert.equal(event.involvedObject.name, "etcd-node-1");
  assert.equal(event.involvedObject.fieldPath, "spec.containers{etcd}");
});

Deno.test("each event type has its reason, and the other types have no Event", async () => {
  const cgroup = "/a";
  const bare = (body: Body) => makeEvent(0, cgroup, "poll", body);
  const crossing = {
    type: "threshold",
    threshold: 1,
    usage: 2,
    limit: null,
    suppressed: 0,
  } as const;
  const cases: [OomkitEvent, string | undefined][] = [
    [oomKill(cgroup), "CgroupOOM"],
    [oomKill(cgroup, null), "CgroupOOM"],
    [oomKill(cgroup, "system"), "SystemOOM"],
    [
      bare({ type: "oom", count: 1n, usage: null, limit: null, limit_owner: null }),
      "CgroupOOM",
    ],
    [action(cgroup), "OomGuardKillContainer"],
    [action(cgroup, { action: "process" }), "OomGuardKillProcess"],
    [action(cgroup, { action: "process", outcome: "survived" }), "OomGuardWarning"],
    [bare({ ...actionFields, action: "exec", outcome: "failed" }), "OomGuardWarning"],
    [action(cgroup, { outcome: "dry_run", dry_run: true }), undefined],
    [bare({ ...actionFields, action: "reclaim", outcome: "reclaimed" }), undefined],
    [level(cgroup), "OomGuardWarning"],
    [level(cgroup, "warn"), undefined],
    [level(cgroup, "imminent", 50), "OomGuardWarning"],
    // The rest of the usage is page cache, which the kernel drops.
    [level(cgroup, "imminent", 49), undefined],
    [
      bare({ ...crossing, direction: "above" }),
      "OomGuardWarning",
    ],
    [
      bare({ ...crossing, direction: "below" }),
      undefined,
    ],
    [bare({ type: "cgroup_created" }), undefined],
    [bare({ type: "degraded", requested: "a", fallback: "b", reason: "c" }), undefined],
  ];
  for (const [event, reason] of cases) {
    await using server = await startKubernetes();
    const { events, counts } = await reportAll(server, [event], node);
    assert.deepEqual(events.map(({ reason }) => reason), reason === undefined ? [] : [reason]);
    assert.deepEqual(counts, {
      pending: 0,
      sent: reason === undefined ? 0 : 1,
      dropped: 0,
      failed: 0,
    });
  }
});

Deno.test("the level warn is an Event only where it is asked for", async () => {
  await using server = await startKubernetes();
  const { events } = await reportAll(server, [level("/a", "warn")], { ...node, withWarn: true });
  assert.deepEqual(events.map(({ reason }) => reason), ["OomGuardWarning"]);
});

Deno.test("repetitions raise the count of one Event, with the latest time and message", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape({ containers: { [idOf(7)]: "nginx" } }));
  let nth = 0;
  await using reported = await openReceiver(server, { describe: () => `number ${++nth}` });
  const { receiver } = reported;
  const again = (at: number) => receiver.report(oomKill(cgroupOf(1, 7), "cgroup", at * 1000), "");
  again(0);
  await server.next(isPost);
  for (let at = 1; at < 20; at++) again(at);
  await server.next(isPatch);
  await receiver.close();
  const [event, ...others] = stored(server);
  assert.deepEqual(others, []);
  assert.equal(event.count, 20);
  assert.equal(event.message, "number 20");
  assert.equal(event.firstTimestamp, "2026-01-02T03:04:05Z");
  assert.equal(event.lastTimestamp, "2026-01-02T03:04:24Z");
  assert.deepEqual(receiver.counts(), { pending: 0, sent: 20, dropped: 0, failed: 0 });
  assert.equal(server.seen.filter((seen) => isPost(seen) || isPatch(seen)).length, 2);
});

Deno.test("a restarted container continues its Event, another container has its own", async () => {
  await using server = await startKubernetes();
  const pod = (id: number, last: number) =>
    podShape({ containers: { [idOf(id)]: "nginx", [idOf(99)]: "sidecar" }, lastId: idOf(last) });
  server.putPod(pod(1, 50));
  await using reported = await openReceiver(server);
  const { receiver, pods } = reported;
  for (let id = 1; id <= 5; id++) {
    server.putPod(pod(id, id + 50));
    while (!pods!.get(uidOf(1))!.containers.has(idOf(id))) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    receiver.report(oomKill(cgroupOf(1, id)), "");
  }
  receiver.report(oomKill(cgroupOf(1, 99)), "");
  await receiver.close();
  const counts = stored(server).map((
    { count, involvedObject },
  ) => [count, involvedObject.fieldPath]);
  assert.deepEqual(counts, [[5, "spec.containers{nginx}"], [1, "spec.containers{sidecar}"]]);
});

Deno.test("levels, reasons and cgroups have separate Events", async () => {
  await using server = await startKubernetes();
  const { events } = await reportAll(server, [
    level("/a", "imminent"),
    level("/a", "critical"),
    oomKill("/a"),
    oomKill("/b"),
    level("/a", "imminent"),
  ], node);
  const of = (wanted: string) =>
    events.filter(({ reason }) => reason === wanted).map(({ count }) => count);
  assert.deepEqual([of("OomGuardWarning"), of("CgroupOOM")], [[2, 1], [1, 1]]);
});

Deno.test("a repetition after a long quiet time is a new Event", async () => {
  await using server = await startKubernetes();
  await using reported = await openReceiver(server, {
    ...node,
    limits: { repetitionWindowMs: 0 },
  });
  reported.receiver.report(oomKill("/a"), "");
  await server.next(isPost);
  while (reported.receiver.counts().pending > 0) await new Promise((go) => setTimeout(go, 1));
  reported.receiver.report(oomKill("/a"), "");
  await reported.receiver.close();
  assert.deepEqual(stored(server).map(({ count }) => count), [1, 1]);
});

Deno.test("a message is one line below 1024 bytes, whatever the name of a process", async () => {
  await using server = await startKubernetes();
  const { events: [event] } = await reportAll(server, [oomKill("/a")], {
    ...node,
    describe: () => `ä\n\u001b[31m${"€".repeat(2000)}\ud800`,
  });
  assert.ok(new TextEncoder().encode(event.message).length < 1024);
  assert.ok(new TextEncoder().encode(event.message).length > 1000);
  // deno-lint-ignore no-control-regex
  assert.match(event.message, /^ä \[31m€[^\x00-\x1f]*…$/);
});

Deno.test("in oom-guard's format the Event is as in its document", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape({ containers: { [idOf(7)]: "nginx" } }));
  const cgroup = cgroupOf(1, 7);
  const context = {
    hostname: "node-1",
    directoryOf: (path: string) => `/sys/fs/cgroup/memory${path}`,
  };
  await using reported = await openReceiver(server, {
    oomGuard: (event, stat) =>
      event.type === "action" ? oomGuardEvent(event, { ...context, stat }) : undefined,
  });
  const stat = "cache 20480\n".repeat(100);
  reported.receiver.report(action(cgroup), stat);
  reported.receiver.report(oomKill(cgroup), "");
  await reported.receiver.close();
  const [killed, oom] = stored(server);
  assert.equal(killed.reason, "OomGuardKillContainer");
  assert.deepEqual(killed.source, { component: "oom-guard", host: "node-1" });
  assert.equal(killed.involvedObject.kind, "Node");
  assert.match(killed.metadata.name, /^node-1\.[0-9a-f]{16}$/);
  const json = JSON.parse(killed.message);
  assert.equal(json.stats, stat.replaceAll("\n", "|"));
  assert.equal(json.policy, "Container");
  assert.deepEqual([oom.reason, oom.message], ["CgroupOOM", `event oom_kill (${cgroup})`]);
});

Deno.test("a deleted Event is created again, with its count", async () => {
  await using server = await startKubernetes();
  await using reported = await openReceiver(server, node);
  reported.receiver.report(oomKill("/a"), "");
  await server.next(isPost);
  const [before] = server.events.keys();
  server.events.clear();
  reported.receiver.report(oomKill("/a"), "");
  await server.next((seen) => isPatch(seen) && seen.status === 404);
  await reported.receiver.close();
  const [after, ...others] = server.events.keys();
  assert.deepEqual(others, []);
  assert.notEqual(after, before);
  assert.equal(stored(server)[0].count, 2);
  assert.deepEqual(reported.lines, []);
});

Deno.test("a lost answer does not lead to a second Event, and the count is right", async () => {
  await using server = await startKubernetes();
  let left = 1;
  server.misbehave = (seen) => isPost(seen) && left-- > 0 ? "lost" : undefined;
  const { events, counts } = await reportAll(server, [oomKill("/a"), oomKill("/a")], node);
  assert.deepEqual(events.map(({ count }) => count), [2]);
  assert.equal(counts.sent, 2);
});

Deno.test("an outage loses nothing, and is reported once", async () => {
  for (const wrong of ["500", "garbage", "redirect", "half", "401", "hang", "endless"] as const) {
    await using server = await startKubernetes();
    server.misbehave = () => wrong;
    await using reported = await openReceiver(server, { ...node, timeout: 200 });
    const { receiver, lines } = reported;
    receiver.report(oomKill("/a"), "");
    receiver.report(oomKill("/a"), "");
    receiver.report(oomKill("/b"), "");
    while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    assert.deepEqual(receiver.counts().pending, 3);
    server.misbehave = undefined;
    await receiver.close();
    assert.deepEqual(stored(server).map(({ count }) => count), [2, 1], wrong);
    const { sent, dropped, pending } = receiver.counts();
    assert.deepEqual({ sent, dropped, pending }, { sent: 3, dropped: 0, pending: 0 });
    assert.equal(lines.length, 2, lines.join("\n"));
    assert.match(lines[0]!, /^cannot report events to https:\/\/127.0.0.1:\d+: /);
    assert.match(lines[1]!, /^can report events to .* again/);
  }
});

Deno.test("events left at the end are counted as dropped after a bounded wait", async () => {
  await using server = await startKubernetes();
  server.misbehave = () => "hang";
  const { counts, lines } = await reportAll(server, [oomKill("/a"), oomKill("/a"), oomKill("/b")], {
    ...node,
    queue: { closeWithin: 100 },
  });
  assert.deepEqual([counts.pending, counts.sent, counts.dropped], [0, 0, 3]);
  assert.match(lines.at(-1)!, /^could not report events to .*dropped \(2 oom_kill\)$/);
});

Deno.test("an outage keeps a bounded number of series and counts the rest as dropped", async () => {
  await using server = await startKubernetes();
  server.misbehave = () => "hang";
  await using reported = await openReceiver(server, {
    ...node,
    limits: { maxSeries: 10 },
    queue: { closeWithin: 100 },
  });
  const { receiver, lines } = reported;
  for (let at = 0; at < 100; at++) receiver.report(oomKill(`/${at}`), "");
  receiver.report(oomKill("/3"), "");
  const { pending: waiting, dropped } = receiver.counts();
  assert.deepEqual([waiting, dropped], [11, 90]);
  assert.deepEqual(lines.filter((line) => /more are dropped$/.test(line)).length, 1);
});

Deno.test("under churn the series that were quiet longest are dropped, and no event is lost", async () => {
  await using server = await startKubernetes();
  await using reported = await openReceiver(server, {
    ...node,
    limits: { maxSeries: 3, requestBurst: 1000 },
  });
  const { receiver } = reported;
  const report = async (cgroup: string) => {
    receiver.report(oomKill(cgroup), "");
    while (receiver.counts().pending > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  for (const name of ["a", "b", "a", "c", "d", "a", "b"]) await report(`/${name}`);
  // `b` was dropped for `d`; `a` was not.
  const found = stored(server).map(({ message, count }) => [message.at(-2), count]);
  assert.deepEqual(found, [["a", 3], ["b", 1], ["c", 1], ["d", 1], ["b", 1]]);
  assert.equal(receiver.counts().dropped, 0);
});

Deno.test("a burst is sent immediately, and the rest at the rate limit", async () => {
  await using server = await startKubernetes();
  const started = performance.now();
  const events = Array.from({ length: 8 }, (_, at) => oomKill(`/${at}`));
  const { counts } = await reportAll(server, events, {
    ...node,
    limits: { requestBurst: 3, msPerRequest: 50 },
  });
  assert.equal(counts.sent, 8);
  assert.ok(performance.now() - started >= 240);
});

Deno.test("an Event in a terminating namespace does not block the others", async () => {
  await using server = await startKubernetes();
  server.misbehave = (seen) =>
    isPost(seen) && seen.body.message.includes("/going") ? "terminating" : undefined;
  const { events, counts, lines } = await reportAll(
    server,
    [oomKill("/going"), oomKill("/b")],
    node,
  );
  assert.equal(events.length, 1);
  assert.deepEqual([counts.sent, counts.dropped], [1, 1]);
  assert.match(lines[0]!, /: 403: namespace is being terminated$/);
});

Deno.test("an Event that alone fails is dropped, and the next one of its kind is tried again", async () => {
  await using server = await startKubernetes();
  server.misbehave = (seen) =>
    isPost(seen) && seen.body.message.includes("/bad") ? "500" : undefined;
  const queue = { sleep: () => Promise.resolve() };
  await using reported = await openReceiver(server, {
    ...node,
    limits: { requestBurst: 1000 },
    queue,
  });
  const { receiver } = reported;
  const report = async (...cgroups: string[]) => {
    for (const cgroup of cgroups) receiver.report(level(cgroup), "");
    while (receiver.counts().pending > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  await report("/bad", "/b");
  assert.deepEqual([stored(server).length, receiver.counts().dropped], [1, 1]);
  assert.deepEqual([...receiver.droppedByType()], [["level_reached", 1]]);
  server.misbehave = undefined;
  await report("/bad");
  assert.deepEqual([stored(server).length, receiver.counts().dropped], [2, 1]);
});

Deno.test("a kill that alone fails is kept until the server takes it", async () => {
  await using server = await startKubernetes();
  let attempts = 0;
  server.misbehave = (seen) =>
    isPost(seen) && seen.body.message.includes("/bad") && ++attempts < 30 ? "500" : undefined;
  await using reported = await openReceiver(server, {
    ...node,
    limits: { requestBurst: 1000 },
    queue: { sleep: () => Promise.resolve() },
  });
  const { receiver } = reported;
  for (const cgroup of ["/bad", "/b", "/c"]) receiver.report(oomKill(cgroup), "");
  while (receiver.counts().pending > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual([stored(server).length, attempts, receiver.counts().dropped], [3, 30, 0]);
});

Deno.test("series of warnings take no room from those of kills, and kills do not wait for them", async () => {
  await using server = await startKubernetes();
  server.misbehave = (seen) =>
    isPost(seen) && seen.body.reason === "OomGuardWarning" ? "hang" : undefined;
  await using reported = await openReceiver(server, {
    ...node,
    limits: { maxSeries: 10 },
    queue: { closeWithin: 100 },
  });
  const { receiver, lines } = reported;
  for (let at = 0; at < 100; at++) receiver.report(level(`/${at}`), "");
  for (let at = 0; at < 10; at++) receiver.report(oomKill(`/${at}`), "");
  // Bounded, so that a kill that waits for a warning fails the test.
  for (let turn = 0; turn < 5000 && receiver.counts().sent < 10; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.deepEqual(stored(server).map(({ reason }) => reason), Array(10).fill("CgroupOOM"));
  await receiver.close();
  assert.deepEqual([...receiver.droppedByType()], [["level_reached", 100]]);
  assert.match(lines.at(-1)!, /^could not report events to .*: no room for 90 level_reached$/);
});

Deno.test("a missing RBAC rule is named, and Events that stay forbidden are dropped and counted", async () => {
  await using server = await startKubernetes();
  server.forbidden.add("create events");
  const { counts, lines } = await reportAll(server, [oomKill("/a")], node);
  assert.equal(counts.dropped, 1);
  assert.equal(counts.failed, 3);
  assert.match(lines[0]!, /may not create events in namespace default; an RBAC rule is missing/);
});

Deno.test("a rotated token is used without a message", async () => {
  await using server = await startKubernetes();
  await using reported = await openReceiver(server, node);
  reported.receiver.report(oomKill("/a"), "");
  await server.next(isPost);
  server.token = "second-token";
  await Deno.writeTextFile(`${server.tokenFile}.new`, "second-token");
  await Deno.rename(`${server.tokenFile}.new`, server.tokenFile);
  reported.receiver.report(oomKill("/b"), "");
  await reported.receiver.close();
  assert.equal(server.events.size, 2);
  assert.deepEqual(reported.lines, []);
});

Deno.test("events wait for the pods at the start, so that the Event is not on the Node", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape());
  let isDown = true;
  server.misbehave = ({ path }) => path.endsWith("/pods") && isDown ? "500" : undefined;
  const { url, tokenFile, caFile } = server;
  const api = new KubernetesApi({ url, tokenFile, caFile, warn: assert.fail });
  const pods = new PodWatcher(api, "node-1", {
    warn: () => {},
    changed: () => {},
    sleep: () => new Promise((resolve) => setTimeout(resolve, 1)),
  });
  const receiver = new KubernetesReceiver({
    ...{ api, pods, node: "node-1", warn: assert.fail },
    describe: () => "text",
  });
  await server.next(({ status }) => status === 500);
  receiver.report(oomKill(cgroupOf(1, 7)), "");
  isDown = false;
  await server.next(isPost);
  await receiver.close();
  await pods.close();
  api.close();
  assert.equal(stored(server)[0].involvedObject.name, "web-0");
});
