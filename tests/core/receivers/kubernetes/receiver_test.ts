import assert from "node:assert/strict";
import { type Body, makeEvent, type OomkitEvent } from "../../../../core/events/event.ts";
import { oomGuardEvent } from "../../../../core/events/oom_guard.ts";
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
    [
      bare({ type: "threshold", threshold: 1, direction: "above", usage: 2, limit: null }),
      "OomGuardWarning",
    ],
    [
      bare({ type: "threshold", threshold: 1, direction: "below", usage: 0, limit: null }),
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
    level("/a"),
    level("/a", "critical"),
    oomKill("/a"),
    oomKill("/b"),
    level("/a"),
  ], node);
  assert.deepEqual(events.map(({ reason, count }) => [reason, count]), [
    ["OomGuardWarning", 2],
    ["OomGuardWarning", 1],
    ["CgroupOOM", 1],
    ["CgroupOOM", 1],
  ]);
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
