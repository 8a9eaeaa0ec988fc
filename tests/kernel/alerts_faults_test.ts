/**
 * Alerts of guards that lack something (CPU, a thread that responds, a permission), and of a machine that lacks memory. With a real
 * Prometheus, as in alerts_test.ts.
 */

import assert from "node:assert/strict";
import { obstacle, runInGuest } from "../../scripts/guest_kernel/guest.ts";
import { limited, startListening } from "../helpers/alerts.ts";
import { makeDirectory } from "../helpers/directory.ts";
import type { EventStream } from "../helpers/event_stream.ts";
import { feedWhileItLives, isKillAction, makeStateDirectory, usageOf } from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { kernelTest, MIB, ofType } from "../helpers/kernel_cases.ts";
import { confineMonitorThread, withoutThreadCgroups } from "../helpers/monitor_thread.ts";
import { startPrometheus, withoutPrometheus } from "../helpers/prometheus.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit } from "../helpers/run_oomkit.ts";

const LIMIT = 48 * MIB;

const withoutExecutable = Deno.env.has("OOMKIT_BIN") ? undefined : "OOMKIT_BIN is not set";

/** Without SCHED_FIFO, which a CPU limit does not apply to. */
const WITHOUT_PRIORITY = ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice"];
/** Root's files obey their mode then. */
const WITHOUT_OVERRIDE = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"];

/** Has the guard kill one process, which waits for it below the limit. @returns milliseconds until the signal. */
async function signalTime(cgroup: RealCgroup, guarded: EventStream): Promise<number> {
  const { imminent, limit } = ofType(guarded.events, "guard_armed")[0];
  await using hungry = await startHungryProcess(cgroup);
  await feedWhileItLives(hungry, Math.floor((imminent + limit) / 2) - usageOf(cgroup));
  const killed = await guarded.next((event) =>
    isKillAction(event) && event.victim?.pid === hungry.pid
  );
  return killed.signal_ms;
}

kernelTest("a guard without CPU is slow, and an alert; one with CPU is none", async () => {
  await using parent = makeRealCgroup("alerts-slow");
  const [near, far] = [limited(parent, "a", LIMIT), limited(parent, "b", LIMIT)];
  const words = ["--policy", "process", "--mode", "notify"];
  const slow = await startListening([...words, near.path], undefined, {
    program: [...WITHOUT_PRIORITY, ...oomkit()],
  });
  await using slowly = slow.guarded;
  const fast = await startListening([...words, far.path]);
  await using quickly = fast.guarded;
  await using prometheus = startPrometheus({ slow: slow.address, fast: fast.address });
  const counted = (instance: string, kills: number) =>
    prometheus.until(
      `oomkit_guard_kill_latency_seconds_count{stage="signal",instance="${instance}"} == ${kills}`,
    );
  {
    using _ = confineMonitorThread(slowly.pid, "cpu", {
      "cpu.cfs_period_us": "1000000",
      "cpu.cfs_quota_us": "1000",
    });
    // Whether what it has is used up before or after the read that counts is by chance. The first kill makes the series.
    for (let kills = 1, ms = 0; kills <= 2 || ms <= 50; kills++) {
      ms = await signalTime(near, slowly);
      await counted("slow", kills);
    }
  }
  for (const kills of [1, 2]) {
    await signalTime(far, quickly);
    await counted("fast", kills);
  }
  await prometheus.untilFiring("OomkitGuardSlow", { instance: "slow" });
  assert.equal(await prometheus.fires("OomkitGuardSlow", { instance: "fast" }), false);
  for (const guarded of [slowly, quickly]) await guarded.stop();
}, { why: withoutPrometheus ?? withoutThreadCgroups("cpu") });

kernelTest("a guard with a monitor thread that hangs is an alert until it goes on", async () => {
  await using parent = makeRealCgroup("alerts-hang");
  const cgroup = limited(parent, "a", LIMIT);
  const { guarded, address } = await startListening(["--policy", "noop", cgroup.path]);
  await using _ = guarded;
  await using prometheus = startPrometheus({ node: address });
  await prometheus.until('oomkit_healthy{instance="node"} == 1');
  assert.equal(await prometheus.fires("OomkitNotReady", {}), false);
  {
    using _ = confineMonitorThread(guarded.pid, "freezer", { "freezer.state": "FROZEN" });
    await prometheus.untilFiring("OomkitNotReady", { instance: "node" });
  }
  await prometheus.untilSilent("OomkitNotReady", { instance: "node" });
  await guarded.stop();
}, { why: withoutPrometheus ?? withoutThreadCgroups("freezer") });

kernelTest(
  "a setting that a guard cannot restore is an alert, one that it restores is none",
  async () => {
    await using parent = makeRealCgroup("alerts-restore");
    const file = "memory.oom_control";
    const startAfter = async (name: string, prepare: (path: string) => void) => {
      const cgroup = limited(parent, name, LIMIT);
      cgroup.write(file, 1);
      using state = makeStateDirectory();
      const change = {
        dir: cgroup.dir,
        inode: Deno.statSync(cgroup.dir).ino,
        file,
        before: "0",
        set: "1",
      };
      // As a guard leaves it that was killed together with its watchdog.
      Deno.writeTextFileSync(`${state.path}/guard-${2 ** 30}-1.json`, JSON.stringify([change]));
      prepare(`${cgroup.dir}/${file}`);
      return await startListening(["--policy", "noop", cgroup.path], undefined, {
        stateDirectory: state.path,
        program: [...WITHOUT_OVERRIDE, ...oomkit()],
      });
    };
    const fails = await startAfter("a", (path) => Deno.chmodSync(path, 0o444));
    await using failing = fails.guarded;
    const works = await startAfter("b", () => {});
    await using working = works.guarded;
    await using prometheus = startPrometheus({ fails: fails.address, works: works.address });
    await prometheus.until('oomkit_guard_restores_total{instance="works",outcome="restored"} == 1');
    await prometheus.untilFiring("OomkitRestoreFailed", { instance: "fails" });
    assert.equal(await prometheus.fires("OomkitRestoreFailed", { instance: "works" }), false);
    for (const guarded of [failing, working]) await guarded.stop();
  },
  { only: 1, why: withoutPrometheus },
);

/**
 * The metrics of a guard before and after the kernel kills for want of the machine's memory, in an emulated machine of its own: the
 * limit of the cgroup is wider.
 */
async function metricsOfSystemOom(): Promise<readonly string[]> {
  using directory = makeDirectory();
  const script = `
    mkdir /sys/fs/cgroup/a && echo 4G >/sys/fs/cgroup/a/memory.max
    /oomkit guard /a --policy noop --listen 127.0.0.1:9101 2>/dev/null &
    scrape() { wget -qO "/out/$1" http://127.0.0.1:9101/metrics; }
    until scrape before; do sleep 0.2; done
    sh -c 'echo 1000 >/proc/self/oom_score_adj; echo 0 >/sys/fs/cgroup/a/cgroup.procs
      exec tail /dev/zero'
    until scrape after && grep -q 'scope="system".* [1-9]' /out/after; do sleep 0.2; done`;
  const outcome = await runInGuest({
    cgroup: "v2",
    memory: 1024,
    limit: 240,
    command: ["sh", "-c", script],
    executable: oomkit()[0]!,
    out: directory.path,
    onOutput() {},
  });
  assert.equal(outcome.code, 0, outcome.failure);
  return ["before", "after"].map((name) => Deno.readTextFileSync(`${directory.path}/${name}`));
}

kernelTest("a machine that is out of memory is an alert", async () => {
  const [before, after] = await metricsOfSystemOom();
  let text = before!;
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    () => new Response(text, { headers: { "content-type": "text/plain; version=0.0.4" } }),
  );
  await using prometheus = startPrometheus({ node: `127.0.0.1:${server.addr.port}` });
  await prometheus.until('oomkit_oom_kills_total{scope="system"} == 0');
  assert.equal(await prometheus.fires("OomkitSystemOom", {}), false);
  text = after!;
  await prometheus.untilFiring("OomkitSystemOom", { instance: "node" });
  assert.equal(await prometheus.fires("OomkitKernelKilled", {}), false);
}, { why: withoutPrometheus ?? withoutExecutable ?? obstacle() });
