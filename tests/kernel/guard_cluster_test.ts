/** A guard in a cluster: the API server's pods in its rules, kills as Kubernetes events, and metrics. */

import assert from "node:assert/strict";
import { fixtureTls } from "../fixtures/tls.ts";
import { feedWhileItLives, isKillAction, startGuarded, until } from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { startKubernetes } from "../helpers/kubernetes_api.ts";
import { idOf, podShape, uidOf } from "../helpers/kubernetes_pod.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";
import type { EventStream } from "../helpers/event_stream.ts";

const LIMIT = 48 * MIB;
const NODE = "node-1";

type Server = Awaited<ReturnType<typeof startKubernetes>>;

const flagsOf = ({ url, tokenFile, caFile }: Server) => [
  ...["--kubernetes-events", "--kubernetes-api", url, "--node-name", NODE],
  ...["--kubernetes-token-file", tokenFile, "--kubernetes-ca", caFile],
];

/** A container of a pod, as the kubelet lays it out. */
function containerOf(parent: RealCgroup, at: number): RealCgroup {
  const container = parent.child(`pod${uidOf(at)}`).child(idOf(at));
  container.limit(LIMIT);
  return container;
}

async function fill(cgroup: RealCgroup): Promise<number> {
  await using hungry = await startHungryProcess(cgroup);
  await feedWhileItLives(hungry, LIMIT);
  return hungry.pid;
}

kernelTest("a kill is an event on its pod, and a rule finds pods by their labels", async () => {
  await using parent = makeRealCgroup("kubepods");
  const [spared, taken] = [containerOf(parent, 1), containerOf(parent, 2)];
  await using server = await startKubernetes({ tls: fixtureTls });
  const config = Deno.makeTempFileSync({ suffix: ".toml" });
  Deno.writeTextFileSync(
    config,
    `[[guard.rule]]\nname = "db"\npod-labels = { app = "db" }\npolicy = "noop"\n`,
  );
  try {
    const words = ["-r", "--policy", "process", "--config", config, ...flagsOf(server)];
    await using guarded = await startGuarded([...words, parent.path]);
    // Nothing is known of them yet: they may be what is to be spared.
    for (const cgroup of [spared, taken]) {
      await guarded.next(({ type, rule, cgroup: path }) =>
        type === "guard_armed" && rule === "db" && path === cgroup.path
      );
    }
    server.putPod(podShape({ uid: uidOf(1), name: "db-0", node: NODE, labels: { app: "db" } }));
    server.putPod(podShape({ uid: uidOf(2), node: NODE, labels: { app: "web" } }));
    await guarded.next(({ type, rule, cgroup }) =>
      type === "guard_armed" && rule === null && cgroup === taken.path
    );
    const pid = await fill(taken);
    const action = await guarded.next(isKillAction);
    assert.deepEqual([action.cgroup, action.victim.pid], [taken.path, pid]);
    const { body } = await server.next(({ method, body }) =>
      method === "POST" && body.reason === "OomGuardKillProcess"
    );
    assert.equal(body.involvedObject.kind, "Pod");
    assert.equal(body.involvedObject.uid, uidOf(2));
    assert.match(body.message, new RegExp(`pid ${pid} `));
    await guarded.stop();
  } finally {
    Deno.removeSync(config);
  }
});

kernelTest("an API server that answers nothing holds up no kill, and no end", async () => {
  await using parent = makeRealCgroup("mute");
  const container = containerOf(parent, 1);
  await using server = await startKubernetes({ tls: fixtureTls });
  server.misbehave = () => "hang";
  const words = ["-r", "--policy", "process", ...flagsOf(server)];
  await using guarded = await startGuarded([...words, parent.path]);
  const pid = await fill(container);
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.outcome, action.victim.pid], ["killed", pid]);
  await guarded.stop();
});

/** Where it says that it listens. */
async function addressOf(guarded: EventStream): Promise<string> {
  const found = () => /listening on (\S+)/.exec(guarded.stderr)?.[1];
  await until("it says where it listens", () => found() !== undefined);
  return found()!.replace(/^(?!http)/, "http://");
}

kernelTest("a scrape tells what was killed, and health tells that the sentry turns", async () => {
  await using cgroup = makeRealCgroup("metrics");
  cgroup.limit(LIMIT);
  await using guarded = await startGuarded(["--policy", "process", "--listen", ":0", cgroup.path]);
  const address = await addressOf(guarded);
  const text = async (path: string) => await (await fetch(`${address}${path}`)).text();
  assert.match(await text("/healthz"), /^ok/);
  assert.match(await text("/readyz"), /^ok/);
  await fill(cgroup);
  await guarded.next(isKillAction);
  const metrics = await text("/metrics");
  const valueOf = (name: string, ...labels: string[]): number | undefined => {
    const line = metrics.split("\n").find((each) =>
      each.startsWith(`${name}{`) && labels.every((label) => each.includes(label))
    );
    return line === undefined ? undefined : Number(line.split(" ").at(-1));
  };
  const done = ['action="process"', 'outcome="killed"', 'level="imminent"'];
  assert.equal(valueOf("oomkit_guard_actions_total", ...done), 1);
  assert.equal(valueOf("oomkit_cgroup_memory_limit_bytes", `cgroup="${cgroup.path}"`), LIMIT);
  await guarded.stop();
});

kernelTest("a port in use is one line, and nothing is guarded", async () => {
  await using cgroup = makeRealCgroup("port");
  cgroup.limit(LIMIT);
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const words = ["guard", "--listen", `:${taken.addr.port}`, cgroup.path];
  const { code, stdout, stderr } = await runOomkit(words);
  assert.deepEqual([code, stdout], [2, ""]);
  assert.match(stderr, /^oomkit: cannot listen on 127\.0\.0\.1:\d+: .*in use[^\n]*\n$/);
});
