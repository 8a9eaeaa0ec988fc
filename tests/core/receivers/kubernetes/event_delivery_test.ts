import assert from "node:assert/strict";
import { KubernetesApi } from "../../../../core/receivers/kubernetes/api.ts";
import { KubernetesReceiver } from "../../../../core/receivers/kubernetes/receiver.ts";
import { PodWatcher } from "../../../../core/receivers/kubernetes/pods.ts";
import { startKubernetes } from "../../../helpers/kubernetes_api.ts";
import { podShape } from "../../../helpers/kubernetes_pod.ts";
import {
  cgroupOf,
  isPatch,
  isPost,
  node,
  oomKill,
  openReceiver,
  reportAll,
  stored,
} from "../../../helpers/kubernetes_reporting.ts";

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
  assert.match(lines.at(-1)!, /^could not report events to .*dropped$/);
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
    limits: { requestBurst: 3, requestsPerSecond: 20 },
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
    for (const cgroup of cgroups) receiver.report(oomKill(cgroup), "");
    while (receiver.counts().pending > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  await report("/bad", "/b");
  assert.deepEqual([stored(server).length, receiver.counts().dropped], [1, 1]);
  server.misbehave = undefined;
  await report("/bad");
  assert.deepEqual([stored(server).length, receiver.counts().dropped], [2, 1]);
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
