/** The alert rules with real guards and a real Prometheus: each fires when it should, and is silent when it should be. */

import assert from "node:assert/strict";
import { limited, startListening } from "../helpers/alerts.ts";
import { disk, withoutDisk } from "../helpers/disk.ts";
import type { EventStream } from "../helpers/event_stream.ts";
import { feedWhileItLives, isKillAction, kernelKills, usageOf } from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { kernelTest, MIB, ofType } from "../helpers/kernel_cases.ts";
import { freePort, startPrometheus, withoutPrometheus } from "../helpers/prometheus.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { suspend } from "../helpers/suspended.ts";

const LIMIT = 48 * MIB;

/** Returns once the kernel has killed there. With a guard that is suspended meanwhile, it cannot come first. */
async function letTheKernelKill(cgroup: RealCgroup, suspended?: EventStream): Promise<void> {
  if (suspended) await suspend(suspended.pid);
  try {
    await using hungry = await startHungryProcess(cgroup);
    await feedWhileItLives(hungry, 2 * LIMIT);
  } finally {
    if (suspended) Deno.kill(suspended.pid, "SIGCONT");
  }
  assert.equal(kernelKills(cgroup), 1);
}

/** The same, after the guard has found that it may kill nothing there: a guard that is late cannot know. */
async function letTheKernelKillAfter(cgroup: RealCgroup, guarded: EventStream): Promise<void> {
  const { imminent, limit } = ofType(guarded.events, "guard_armed")[0];
  await using hungry = await startHungryProcess(cgroup);
  await hungry.feed(Math.floor((imminent + limit) / 2) - usageOf(cgroup));
  assert.equal((await guarded.next(isKillAction)).outcome, "failed");
  await feedWhileItLives(hungry, 2 * LIMIT);
  assert.equal(kernelKills(cgroup), 1);
}

kernelTest("a kill by the kernel is an alert only where the guard should have killed", async () => {
  await using parent = makeRealCgroup("alerts-kill");
  const [killed, reported, ignored] = ["a", "b", "c"].map((name) =>
    limited(parent, name, LIMIT)
  ) as [
    RealCgroup,
    RealCgroup,
    RealCgroup,
  ];
  const mode = ["--mode", "notify"];
  const kills = await startListening(["--policy", "process", ...mode, killed.path]);
  await using killing = kills.guarded;
  const noop = await startListening(["--policy", "noop", reported.path]);
  await using reporting = noop.guarded;
  const ignores = await startListening(
    ["--policy", "process", ...mode, "--ignore", ".", ignored.path],
  );
  await using ignoring = ignores.guarded;
  await using prometheus = startPrometheus({
    kills: kills.address,
    noop: noop.address,
    ignores: ignores.address,
  });
  await prometheus.until('count(oomkit_oom_kills_total{scope="unknown",guarded="true"}) == 3');
  await letTheKernelKill(killed, killing);
  await letTheKernelKill(reported);
  await letTheKernelKillAfter(ignored, ignoring);
  await prometheus.untilFiring("OomkitKernelKilled", { instance: "kills" });
  for (const instance of ["noop", "ignores"]) {
    await prometheus.until(
      `sum(oomkit_oom_kills_total{instance="${instance}",guarded="false"}) == 1`,
    );
    assert.equal(await prometheus.fires("OomkitKernelKilled", { instance }), false, instance);
  }
  // Nothing could be killed there.
  await prometheus.untilFiring("OomkitActionFailed", { instance: "ignores", action: "process" });
  assert.equal(await prometheus.fires("OomkitActionFailed", { instance: "kills" }), false);
  assert.equal(await prometheus.fires("OomkitSystemOom", {}), false);
  for (const guarded of [killing, reporting, ignoring]) await guarded.stop();
}, { why: withoutPrometheus });

kernelTest(
  "memory in use near the limit is an alert, and a cgroup full of page cache is none",
  async () => {
    await using parent = makeRealCgroup("alerts-near");
    const [used, cached] = [limited(parent, "used", LIMIT), limited(parent, "cached", LIMIT)];
    const words = ["-r", "--policy", "noop", parent.path];
    const { guarded, address } = await startListening(words);
    await using _ = guarded;
    const unlisted = await startListening(["--metrics-max", "0", ...words]);
    await using omitting = unlisted.guarded;
    await using prometheus = startPrometheus({ node: address, unlisted: unlisted.address });
    const directory = Deno.makeTempDirSync({ dir: disk!, prefix: "oomkit-test-" });
    try {
      const write =
        `echo 0 > "$0/cgroup.procs" && exec dd if=/dev/zero of="$1" bs=65536 count=1600`;
      const args = ["-c", write, cached.dir, `${directory}/file`];
      await new Deno.Command("sh", { args, stderr: "null" }).output();
      await using hungry = await startHungryProcess(used);
      const usage = (bytes: number) =>
        prometheus.until(
          `oomkit_cgroup_memory_usage_bytes{cgroup="${used.path}"} > ${bytes}`,
        );
      await hungry.feed(30 * MIB);
      await usage(28 * MIB);
      await hungry.feed(16 * MIB);
      await usage(43 * MIB);
      const here = { instance: "node", cgroup: used.path };
      await prometheus.untilFiring("OomkitCgroupNearLimit", here);
      await prometheus.untilFiring("OomkitCgroupFullSoon", here);
      await prometheus.untilFiring("OomkitCgroupsUnlisted", { instance: "unlisted" });
      assert.equal(await prometheus.fires("OomkitCgroupsUnlisted", { instance: "node" }), false);
      assert.ok(usageOf(cached) > 0.8 * LIMIT);
      for (const alert of ["OomkitCgroupNearLimit", "OomkitCgroupFullSoon"]) {
        assert.equal(await prometheus.fires(alert, { ...here, cgroup: cached.path }), false, alert);
      }
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
    await omitting.stop();
    await guarded.stop();
  },
  { why: withoutPrometheus ?? withoutDisk },
);

kernelTest("an alert of what is lacking ends when the cause is gone", async () => {
  await using parent = makeRealCgroup("alerts-lack");
  limited(parent, "wide", LIMIT);
  const narrow = limited(parent, "narrow", 4 * MIB);
  const words = ["-r", "--policy", "noop", "--min-margin", "8M", parent.path];
  const { guarded, address } = await startListening(words);
  await using _ = guarded;
  await using prometheus = startPrometheus({ node: address });
  const lacking = { instance: "node", requested: "guard" };
  await prometheus.untilFiring("OomkitDegraded", lacking);
  narrow.limit(LIMIT);
  await prometheus.untilSilent("OomkitDegraded", lacking);
  assert.equal(await prometheus.fires("OomkitGuardsNothing", {}), false);
  await guarded.stop();
}, { why: withoutPrometheus });

kernelTest(
  "a receiver that rejects or does not answer is an alert, one that works is none",
  async () => {
    await using parent = makeRealCgroup("alerts-send");
    const cgroup = limited(parent, "a", LIMIT);
    const closed = `http://127.0.0.1:${freePort()}/`;
    await using receiver = serve();
    const send = async (url: string) =>
      await startListening(["--policy", "noop", "--webhook-url", url, cgroup.path]);
    const works = await send(`${receiver.url}/ok`);
    await using working = works.guarded;
    const rejects = await send(`${receiver.url}/rejected`);
    await using rejecting = rejects.guarded;
    const stuck = await send(closed);
    await using failing = stuck.guarded;
    await using prometheus = startPrometheus({
      works: works.address,
      rejects: rejects.address,
      stuck: stuck.address,
    });
    await prometheus.until("count(oomkit_ready == 1) == 3");
    await using hungry = await startHungryProcess(cgroup);
    await hungry.feed(40 * MIB);
    await prometheus.untilFiring("OomkitReportsDropped", {
      instance: "rejects",
      receiver: "webhook",
    });
    await prometheus.untilFiring("OomkitReportsStuck", { instance: "stuck", receiver: "webhook" });
    await prometheus.until('oomkit_notifications_sent_total{instance="works"} > 0');
    for (const alert of ["OomkitReportsDropped", "OomkitReportsStuck"]) {
      assert.equal(await prometheus.fires(alert, { instance: "works" }), false, alert);
    }
    for (const guarded of [working, rejecting, failing]) await guarded.stop();
  },
  { why: withoutPrometheus },
);

kernelTest(
  "a guard that is gone, restarts, or guards nothing is an alert, one that runs is none",
  async () => {
    await using parent = makeRealCgroup("alerts-down");
    limited(parent.child("some"), "a", LIMIT);
    const empty = parent.child("empty");
    const some = ["-r", "--policy", "noop", `${parent.path}/some`];
    const runs = await startListening(some);
    await using running = runs.guarded;
    const nothing = await startListening(["-r", "--policy", "noop", empty.path]);
    await using guardsNothing = nothing.guarded;
    const port = freePort();
    await using prometheus = startPrometheus({
      runs: runs.address,
      nothing: nothing.address,
      restarts: `127.0.0.1:${port}`,
    });
    let before = 0;
    for (let start = 0; start < 5; start++) {
      const { guarded } = await startListening(some, port);
      await using _ = guarded;
      const [{ value: [, at] }] = await prometheus.until(
        `process_start_time_seconds{instance="restarts"} > ${before + 0.001}`,
      );
      before = Number(at);
      await guarded.stop();
    }
    await prometheus.untilFiring("OomkitDown", { instance: "restarts" });
    await prometheus.untilFiring("OomkitGuardsNothing", { instance: "nothing" });
    for (const alert of ["OomkitDown", "OomkitRestarts", "OomkitNotReady", "OomkitGuardsNothing"]) {
      assert.equal(await prometheus.fires(alert, { instance: "runs" }), false, alert);
    }
    assert.equal(await prometheus.fires("OomkitAbsent", {}), false);
    const { guarded } = await startListening(some, port);
    await using _ = guarded;
    await prometheus.untilFiring("OomkitRestarts", { instance: "restarts" });
    for (const each of [guarded, running, guardsNothing]) await each.stop();
    await prometheus.untilFiring("OomkitAbsent", {});
  },
  { why: withoutPrometheus },
);

/** Accepts webhooks at /ok and rejects others. */
function serve() {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    await request.arrayBuffer();
    return new Response(null, { status: new URL(request.url).pathname === "/ok" ? 204 : 400 });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
