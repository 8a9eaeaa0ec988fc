import assert from "node:assert/strict";
import { OomkitError } from "../../../../core/errors.ts";
import { KubernetesApi } from "../../../../core/receivers/kubernetes/api.ts";
import { PodWatcher } from "../../../../core/receivers/kubernetes/pods.ts";
import {
  type KubernetesServer,
  type Seen,
  startKubernetes,
} from "../../../helpers/kubernetes_api.ts";
import { idOf, podShape, uidOf } from "../../../helpers/kubernetes_pod.ts";

/** The client's pauses are short, but let everything else run first. */
const brief = () => new Promise<void>((resolve) => setTimeout(resolve, 1));

function follow(server: KubernetesServer, options: { idle?: number } = {}) {
  const lines: string[] = [];
  const pauses: number[] = [];
  let changes = 0;
  let waiting: (() => void)[] = [];
  const wake = () => {
    for (const resolve of waiting) resolve();
    waiting = [];
  };
  const { tokenFile, caFile, url } = server;
  const api = new KubernetesApi({ url, tokenFile, caFile, warn: assert.fail });
  const pods = new PodWatcher(api, "node-1", {
    warn(line) {
      lines.push(line);
      wake();
    },
    changed() {
      changes += 1;
      wake();
    },
    random: () => 0.5,
    sleep(ms) {
      pauses.push(ms);
      return brief();
    },
    ...options,
  });
  return {
    pods,
    lines,
    pauses,
    get changes() {
      return changes;
    },
    /** Waits until it holds, checking again after every change and warning. */
    async until(holds: () => boolean) {
      while (!holds()) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    async [Symbol.asyncDispose]() {
      await pods.close();
      api.close();
    },
  };
}

const isList = ({ query }: Seen) => query.get("watch") === null;
const isWatch = (seen: Seen) => !isList(seen);

Deno.test("only the pods of this node are known", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape({ labels: { app: "web" }, containers: { [idOf(7)]: "nginx" } }));
  server.putPod(podShape({ uid: uidOf(2), node: "node-2" }));
  await using followed = follow(server);
  await followed.pods.ready;
  const pod = followed.pods.get(uidOf(1))!;
  assert.deepEqual([pod.name, pod.namespace, pod.uid], ["web-0", "shop", uidOf(1)]);
  assert.deepEqual([...pod.labels], [["app", "web"]]);
  assert.deepEqual([...pod.containers], [
    [idOf(7), { name: "nginx", fieldPath: "spec.containers{nginx}" }],
  ]);
  assert.equal(followed.pods.get(uidOf(2)), undefined);
  assert.equal(followed.changes, 1);
  const asked = await server.next(isWatch);
  assert.equal(server.seen[0]!.query.get("resourceVersion"), "0");
  assert.equal(server.seen[0]!.query.get("fieldSelector"), "spec.nodeName=node-1");
  assert.equal(asked.query.get("fieldSelector"), "spec.nodeName=node-1");
  assert.equal(asked.query.get("allowWatchBookmarks"), "true");
  assert.equal(asked.query.get("resourceVersion"), "1002");
});

Deno.test("changed() is called for pods that come, go or change labels, not for other changes", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape());
  await using followed = follow(server);
  const { pods } = followed;
  await server.next(isWatch);
  server.putPod(podShape({ uid: uidOf(2), name: "web-1" }));
  await followed.until(() => pods.get(uidOf(2)) !== undefined);
  server.putPod(podShape({ labels: { tier: "front" } }));
  await followed.until(() => pods.get(uidOf(1))?.labels.get("tier") === "front");
  assert.equal(followed.changes, 3);
  // This change alone does not call changed(); the next one shows that it was applied.
  server.putPod(podShape({ labels: { tier: "front" }, containers: { [idOf(9)]: "nginx" } }));
  server.removePod(uidOf(2));
  await followed.until(() => pods.get(uidOf(2)) === undefined);
  assert.equal(followed.changes, 4);
  assert.equal(pods.get(uidOf(1))!.containers.get(idOf(9))!.name, "nginx");
});

Deno.test("a container is found by the id of its last run too, and an init container has its own field", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape({
    containers: { [idOf(2)]: "nginx" },
    lastId: idOf(1),
    initContainers: { [idOf(3)]: "setup" },
  }));
  await using followed = follow(server);
  await followed.pods.ready;
  const { containers } = followed.pods.get(uidOf(1))!;
  assert.deepEqual([...containers].map(([id, { fieldPath }]) => [id, fieldPath]), [
    [idOf(1), "spec.containers{nginx}"],
    [idOf(2), "spec.containers{nginx}"],
    [idOf(3), "spec.initContainers{setup}"],
  ]);
});

Deno.test("a static pod is found by the uid in its cgroup's name and by that of the API server", async () => {
  await using server = await startKubernetes();
  const hash = "0123456789abcdef0123456789abcdef";
  server.putPod(podShape({
    name: "etcd-node-1",
    annotations: {
      "kubernetes.io/config.hash": hash,
      "kubernetes.io/config.mirror": hash,
      "kubernetes.io/config.source": "file",
    },
  }));
  await using followed = follow(server);
  await followed.pods.ready;
  assert.equal(followed.pods.get(hash)?.name, "etcd-node-1");
  assert.equal(followed.pods.get(uidOf(1))?.name, "etcd-node-1");
  assert.equal(followed.pods.get(hash)?.cgroupUid, hash);
});

Deno.test("an annotation cannot claim the uid of another pod", async () => {
  await using server = await startKubernetes();
  const claim = (uid: string) => ({
    "kubernetes.io/config.hash": uid,
    "kubernetes.io/config.mirror": uid,
  });
  server.putPod(podShape({ uid: uidOf(2), name: "thief", annotations: claim(uidOf(1)) }));
  server.putPod(podShape({ name: "victim" }));
  const hash = "f".repeat(32);
  server.putPod(podShape({
    uid: uidOf(3),
    name: "half",
    annotations: { "kubernetes.io/config.hash": hash },
  }));
  await using followed = follow(server);
  await followed.pods.ready;
  assert.equal(followed.pods.get(uidOf(1))?.name, "victim");
  assert.equal(followed.pods.get(uidOf(2))?.name, "thief");
  assert.equal(followed.pods.get(hash), undefined);
});

Deno.test("a watch that ends is resumed at the last version, including bookmarks", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape());
  await using followed = follow(server);
  await server.next(isWatch);
  server.bookmark();
  server.putPod(podShape({ labels: { a: "1" } }));
  server.bookmark();
  server.endWatches();
  const second = await server.next(({ query }) => query.get("resourceVersion") === "1004");
  assert.ok(isWatch(second));
  server.putPod(podShape({ uid: uidOf(2) }));
  await followed.until(() => followed.pods.get(uidOf(2)) !== undefined);
  assert.equal(server.seen.filter(isList).length, 1);
  assert.deepEqual(followed.lines, []);
});

Deno.test("after a gap the pods are listed again, and removed ones are gone", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape());
  server.putPod(podShape({ uid: uidOf(2) }));
  await using followed = follow(server);
  await server.next(isWatch);
  server.bookmark();
  server.endWatches();
  server.removePod(uidOf(2));
  server.putPod(podShape({ uid: uidOf(3) }));
  server.compact();
  await followed.until(() => followed.pods.get(uidOf(3)) !== undefined);
  assert.equal(followed.pods.get(uidOf(2)), undefined);
  assert.ok(followed.pods.get(uidOf(1)));
  assert.equal(server.seen.filter(isList).length, 2);
  // 410 is an ordinary way for a watch to end.
  assert.deepEqual(followed.lines, []);
});

Deno.test("an idle watch is started again", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape());
  await using followed = follow(server, { idle: 100 });
  await server.next((seen) => isWatch(seen) && server.seen.filter(isWatch).length === 3);
  assert.match(followed.lines[0]!, /: nothing arrived within 0.1 s$/);
  assert.ok(followed.pods.get(uidOf(1)));
});

Deno.test("an outage and its end are reported once each, and the pauses grow", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape());
  let left = 6;
  server.misbehave = () => left-- > 0 ? "500" : undefined;
  await using followed = follow(server);
  await followed.until(() => followed.lines.length === 2);
  const where = `the pods of node node-1 at ${server.url}`;
  assert.deepEqual(followed.lines, [
    `cannot follow ${where}: it answered 500: etcdserver: request timed out`,
    "can follow the pods of node node-1 again, after 6 failed attempts",
  ]);
  assert.deepEqual(followed.pauses.slice(0, 6), [750, 1500, 3000, 6000, 12_000, 22_500]);
  assert.ok(followed.pods.get(uidOf(1)));
});

Deno.test("Retry-After is respected", async () => {
  await using server = await startKubernetes();
  let left = 1;
  server.misbehave = () => left-- > 0 ? "429" : undefined;
  await using followed = follow(server);
  await server.next(isWatch);
  assert.equal(followed.pauses[0], 1000);
});

Deno.test("garbage on a watch leads to a new list, and the known pods stay known", async () => {
  for (const garbage of ["<html>", '{"type":"ADDED","object":{}}', "x".repeat(5_000_000)]) {
    await using server = await startKubernetes();
    server.putPod(podShape());
    await using followed = follow(server);
    await server.next(isWatch);
    server.sendLine(garbage);
    await followed.until(() => followed.lines.length > 0);
    await server.next((seen) => isWatch(seen) && server.seen.filter(isWatch).length >= 2);
    assert.ok(followed.pods.get(uidOf(1)));
    assert.match(followed.lines[0]!, /is not an event$|longer than 4194304 characters$/);
  }
});

Deno.test("an answer that is not from an API server is reported, and the pauses grow", async () => {
  for (const wrong of ["garbage", "redirect", "half", "401", "endless"] as const) {
    await using server = await startKubernetes();
    server.misbehave = () => wrong;
    await using followed = follow(server);
    await followed.until(() => followed.lines.length === 1);
    await server.next(() => server.seen.length === 4);
    assert.equal(followed.lines.length, 1, followed.lines.join("\n"));
    assert.ok(followed.pauses[2]! >= 3000);
  }
});

Deno.test("a missing RBAC rule is named", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape());
  server.forbidden.add("watch pods");
  await using followed = follow(server);
  await followed.until(() => followed.lines.length === 1);
  assert.match(followed.lines[0]!, /may not watch pods in all namespaces; .*verbs \["watch"\]/);
});

Deno.test("a node without pods is reported as a probably wrong name", async () => {
  await using server = await startKubernetes();
  server.putPod(podShape({ node: "10.0.0.1" }));
  await using followed = follow(server);
  await followed.pods.ready;
  assert.match(followed.lines[0]!, /the node has no pods; is this the node's name/);
});

Deno.test("an invalid node name is refused at start", async () => {
  await using server = await startKubernetes();
  const { url, tokenFile, caFile } = server;
  const api = new KubernetesApi({ url, tokenFile, caFile, warn: assert.fail });
  for (const node of ["", "Node-1", "a,spec.x=b", "n".repeat(254)]) {
    assert.throws(
      () => new PodWatcher(api, node, { warn: assert.fail, changed: assert.fail }),
      OomkitError,
    );
  }
  api.close();
});

Deno.test("close waits neither for a hanging server nor for a pause", async () => {
  await using server = await startKubernetes();
  server.misbehave = () => "hang";
  const followed = follow(server);
  await server.next(() => true);
  await followed[Symbol.asyncDispose]();
  await followed.pods.ready;
  assert.equal(followed.pods.get(uidOf(1)), undefined);
});
