/** `oomkit guard` in a cluster: rules that select pods, kills as Kubernetes events, and metrics. */

import assert from "node:assert/strict";
import { fixtureTls } from "../fixtures/tls.ts";
import { disk, withoutDisk } from "../helpers/disk.ts";
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

/** A container's cgroup in its pod's, as the kubelet creates them. */
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

kernelTest(
  "a kill becomes an event on its pod, and a rule selects pods by their labels",
  async () => {
    await using parent = makeRealCgroup("kubepods");
    const [excluded, target] = [containerOf(parent, 1), containerOf(parent, 2)];
    await using server = await startKubernetes({ tls: fixtureTls });
    const config = Deno.makeTempFileSync({ suffix: ".toml" });
    Deno.writeTextFileSync(
      config,
      `[[guard.rule]]\nname = "db"\npod-labels = { app = "db" }\npolicy = "noop"\n`,
    );
    try {
      const words = ["-r", "--policy", "process", "--config", config, ...flagsOf(server)];
      await using guarded = await startGuarded([...words, parent.path]);
      // Until the API server describes a pod, the rule applies to it: it may be one to exclude.
      for (const cgroup of [excluded, target]) {
        await guarded.next(({ type, rule, cgroup: path }) =>
          type === "guard_armed" && rule === "db" && path === cgroup.path
        );
      }
      server.putPod(podShape({ uid: uidOf(1), name: "db-0", node: NODE, labels: { app: "db" } }));
      server.putPod(podShape({ uid: uidOf(2), node: NODE, labels: { app: "web" } }));
      await guarded.next(({ type, rule, cgroup }) =>
        type === "guard_armed" && rule === null && cgroup === target.path
      );
      const pid = await fill(target);
      const action = await guarded.next(isKillAction);
      assert.deepEqual([action.cgroup, action.victim.pid], [target.path, pid]);
      const { namespace, pod, node } = action;
      assert.deepEqual([namespace, pod, node], ["shop", "web-0", NODE]);
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
  },
);

kernelTest("an API server that does not answer delays neither a kill nor the exit", async () => {
  await using parent = makeRealCgroup("silent");
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

/** Fills the cgroup with page cache and ends: no process is left in it. */
async function writeFile(cgroup: RealCgroup, path: string): Promise<void> {
  const write = `echo 0 > "$0/cgroup.procs" && exec dd if=/dev/zero of="$1" bs=65536 count=1600`;
  const args = ["-c", write, cgroup.dir, path];
  const { code } = await new Deno.Command("sh", { args, stderr: "null" }).output();
  assert.equal(code, 0);
}

for (const policy of ["noop", "process"]) {
  kernelTest(
    `page cache is no warning on a pod with policy ${policy}, and memory in use is one`,
    async () => {
      await using parent = makeRealCgroup("cached");
      const [cached, used] = [containerOf(parent, 1), containerOf(parent, 2)];
      await using server = await startKubernetes({ tls: fixtureTls });
      for (const at of [1, 2]) server.putPod(podShape({ uid: uidOf(at), node: NODE }));
      const directory = Deno.makeTempDirSync({ dir: disk!, prefix: "oomkit-test-" });
      try {
        const words = ["-r", "--policy", policy, "--listen", ":0", ...flagsOf(server)];
        await using guarded = await startGuarded([...words, parent.path]);
        const address = await addressOf(guarded);
        await writeFile(cached, `${directory}/file`);
        await using hungry = await startHungryProcess(used);
        await feedWhileItLives(hungry, 45 * MIB);
        await server.next(({ method }) => method === "POST");
        const metrics = await (await fetch(`${address}/metrics`)).text();
        await guarded.stop();
        const pods = [...server.events.values()].map(({ involvedObject }) => involvedObject.uid);
        assert.deepEqual([...new Set(pods)], [uidOf(2)]);
        const bytes = (name: string) =>
          Number(
            new RegExp(
              `^oomkit_cgroup_memory_${name}_bytes\\{cgroup="${cached.path}".* (\\d+)$`,
              "m",
            )
              .exec(metrics)?.[1],
          );
        // A guard that kills makes the kernel drop the page cache.
        if (policy === "noop") assert.ok(bytes("usage") > 0.8 * LIMIT, metrics);
        assert.ok(bytes("working_set") < 0.2 * LIMIT && bytes("headroom") > 0.8 * LIMIT, metrics);
      } finally {
        Deno.removeSync(directory, { recursive: true });
      }
    },
    { why: withoutDisk },
  );
}

/** The address from its message on stderr. */
async function addressOf(guarded: EventStream): Promise<string> {
  const found = () => /listening on (\S+)/.exec(guarded.stderr)?.[1];
  await until("it reports its address", () => found() !== undefined);
  return found()!.replace(/^(?!http)/, "http://");
}

kernelTest(
  "metrics count the kill, and /healthz reports that the monitor thread runs",
  async () => {
    await using cgroup = makeRealCgroup("metrics");
    cgroup.limit(LIMIT);
    await using guarded = await startGuarded([
      "--policy",
      "process",
      "--listen",
      ":0",
      cgroup.path,
    ]);
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
    const labels = ['action="process"', 'outcome="killed"', 'level="imminent"'];
    assert.equal(valueOf("oomkit_guard_actions_total", ...labels), 1);
    assert.equal(valueOf("oomkit_cgroup_memory_limit_bytes", `cgroup="${cgroup.path}"`), LIMIT);
    await guarded.stop();
  },
);

kernelTest("a port in use is a one-line error, and nothing is guarded", async () => {
  await using cgroup = makeRealCgroup("port");
  cgroup.limit(LIMIT);
  using inUse = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const words = ["guard", "--listen", `:${inUse.addr.port}`, cgroup.path];
  const { code, stdout, stderr } = await runOomkit(words);
  assert.deepEqual([code, stdout], [2, ""]);
  assert.match(stderr, /^oomkit: cannot listen on 127\.0\.0\.1:\d+: .*in use[^\n]*\n$/);
});
