/** A guard kills nothing that the kernel would not have had to kill. */

import assert from "node:assert/strict";
import {
  changedFileOf,
  changingModeOf,
  feedWhileItLives,
  isAlive,
  isArmed,
  isChanged,
  isKillAction,
  kernelKills,
  killActionsOf,
  startGuarded,
  until,
  usageOf,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { isThere } from "../helpers/is_there.ts";
import {
  entering,
  kernelTest,
  MIB,
  ofType,
  startFaultingProcess,
} from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";

const isEmulated = /^model name\s*:.*QEMU/m.test(Deno.readTextFileSync("/proc/cpuinfo"));
const onlyEmulated = isEmulated ? undefined : "it changes swap of the whole machine";

/** Runs shell code in the cgroup. @returns its exit status. */
async function runIn(cgroup: RealCgroup, code: string): Promise<number> {
  const args = ["-c", `echo 0 > "${cgroup.dir}/cgroup.procs"\n${code}`];
  return (await new Deno.Command("sh", { args, stdout: "null", stderr: "null" }).output()).code;
}

/** Looks for files that are not there: each leaves a dentry of some 450 bytes, which the kernel reclaims; none in a tmpfs. */
const LOOK_FOR_FILES = `
pad=$(printf '%0200d' $$); n=0
while [ $n -lt 60000 ]; do [ -e "${
  isThere("/disk") ? "/disk" : "/tmp"
}/$pad$n" ]; n=$((n+1)); done`;

// On v1 the kernel itself kills a process that fills 16 MiB with dentries this fast, in some runs.
kernelTest("nothing is killed for kernel memory that the kernel reclaims by itself", async () => {
  await using cgroup = makeRealCgroup("dentries");
  cgroup.limit(16 * MIB);
  await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
  assert.equal(await runIn(cgroup, LOOK_FOR_FILES), 0);
  const events = await guarded.stop();
  assert.deepEqual(killActionsOf(events), []);
  // The kernel had to reclaim.
  assert.match(cgroup.read("memory.events"), /^(high|max) [1-9]/m);
}, { only: 2 });

kernelTest("a healthy process under a tiny limit lives", async () => {
  for (const [limit, bytes] of [[4 * MIB, MIB], [8 * MIB, 4 * MIB]] as const) {
    await using cgroup = makeRealCgroup("tiny");
    cgroup.limit(limit);
    await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
    await using process = await startHungryProcess(cgroup);
    await process.feed(bytes);
    await until("the process holds that", () => usageOf(cgroup) >= bytes);
    const events = await guarded.stop();
    assert.deepEqual(killActionsOf(events), []);
    assert.ok(isAlive(process.pid));
  }
});

kernelTest("a process that may not be signalled does not protect the others", async () => {
  await using cgroup = makeRealCgroup("refused");
  cgroup.limit(32 * MIB);
  await using roots = await startHungryProcess(cgroup);
  await roots.feed(16 * MIB);
  // Without CAP_KILL only its own processes may be signalled: this one belongs to another user.
  const args = ["--reuid=65534", "--clear-groups", "tail", "-c", "999999999"];
  const other = new Deno.Command("sh", {
    args: ["-c", `echo 0 > "${cgroup.dir}/cgroup.procs"; exec /bin/setpriv ${args.join(" ")}`],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const stdin = other.stdin.getWriter();
  const chunk = new Uint8Array(MIB);
  const feed = (async () => {
    for (let n = 0; n < 8; n++) await stdin.write(chunk);
  })();
  await feed;
  const program = [
    "setpriv",
    "--bounding-set=-kill",
    "--inh-caps=-kill",
    Deno.env.get("OOMKIT_BIN")!,
  ];
  await using guarded = await startGuarded(
    ["--policy", "process", "--avoid", "-c 1000000000", cgroup.path],
    { program },
  );
  const fed = feedWhileItLives(roots, 64 * MIB);
  const refused = await guarded.next((event) => isKillAction(event) && event.outcome === "failed");
  assert.equal(refused.victim.pid, other.pid);
  assert.match(refused.reason, /EPERM.*same user, or CAP_KILL/);
  const killed = await guarded.next((event) => isKillAction(event) && event.outcome === "killed");
  assert.equal(killed.victim.pid, roots.pid);
  await fed;
  other.kill("SIGKILL");
  await other.status;
  await stdin.abort().catch(() => {});
  await guarded.stop();
}, { why: Deno.env.get("OOMKIT_BIN") ? undefined : "it needs the executable" });

kernelTest(
  "a container of processes that the kernel never kills is ended all the same",
  async () => {
    await using cgroup = makeRealCgroup("immune");
    cgroup.limit(32 * MIB);
    await using process = await startHungryProcess(cgroup, { oomScoreAdj: -1000 });
    // Where that takes a privilege that the tests do not have, it is an ordinary process.
    const adj = Number(Deno.readTextFileSync(`/proc/${process.pid}/oom_score_adj`));
    await using guarded = await startGuarded(["--policy", "container", cgroup.path]);
    const fed = feedWhileItLives(process, 64 * MIB);
    const action = await guarded.next(isKillAction);
    assert.deepEqual([action.outcome, action.victim.pid], ["killed", process.pid]);
    assert.equal(action.victim.oom_score_adj, adj);
    await fed;
    assert.equal(kernelKills(cgroup), 0);
    await guarded.stop();
  },
);

kernelTest("where no process may be killed, the kernel decides at once", async () => {
  await using cgroup = makeRealCgroup("protected-all");
  cgroup.limit(32 * MIB);
  const mode = changingModeOf(cgroup);
  await using guarded = await startGuarded(
    ["--policy", "process", "--mode", mode, "--ignore", ".", cgroup.path],
  );
  await guarded.next(isArmed(cgroup));
  assert.ok(isChanged(cgroup));
  // On v1 a system call that needs memory would fail meanwhile.
  await using process = startFaultingProcess(entering(cgroup));
  await guarded.next(({ type, file }) => type === "restored" && file === changedFileOf(cgroup));
  assert.ok(!isChanged(cgroup));
  await process.status;
  const events = await guarded.stop();
  assert.deepEqual(
    ofType(events, "degraded").filter(({ requested }) => requested === mode).length,
    1,
  );
  assert.equal(kernelKills(cgroup), 1);
});

const SWAP = "/disk/oomkit-swap";

async function succeed(program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  assert.ok(success, `${program}: ${new TextDecoder().decode(stderr)}`);
}

kernelTest("while there is swap nothing is killed, unless it is to be ignored", async () => {
  await succeed("dd", "if=/dev/zero", `of=${SWAP}`, "bs=1M", "count=128");
  await succeed("mkswap", SWAP);
  await succeed("swapon", SWAP);
  try {
    // In mode throttle memory.high has a slow process swapped out, so that usage stays below the level.
    const atTheLimit = ["--mode", "notify", "--no-reclaim"];
    for (const [swap, options] of [["count", []], ["ignore", atTheLimit]] as const) {
      await using cgroup = makeRealCgroup("swap");
      cgroup.limit(32 * MIB);
      await using guarded = await startGuarded(
        ["--policy", "process", "--swap", swap, ...options, cgroup.path],
      );
      await using process = await startHungryProcess(cgroup);
      await feedWhileItLives(process, 64 * MIB);
      if (swap === "ignore") {
        const { victim } = await guarded.next(isKillAction);
        assert.equal(victim.pid, process.pid);
      } else {
        assert.ok(isAlive(process.pid));
        const json = await runOomkit(["inspect", "--json", cgroup.path]);
        const left = JSON.parse(json.stdout).targets[0].swap_left;
        assert.ok(left > 0 && left < 128 * MIB, left);
        const { stdout } = await runOomkit(["inspect", cgroup.path]);
        assert.match(stdout.replace(/\s+/g, " "), /of swap .* limit is hit and swap is full/);
        const { reason } = await guarded.next(({ type }) => type === "action_skipped");
        assert.equal(reason, "swap");
      }
      assert.equal(killActionsOf(await guarded.stop()).length, swap === "ignore" ? 1 : 0);
      assert.equal(kernelKills(cgroup), 0);
    }
  } finally {
    await succeed("swapoff", SWAP);
    Deno.removeSync(SWAP);
  }
}, { only: 2, why: onlyEmulated });

kernelTest("page cache that a reclaim does not free is not counted on", async () => {
  await using parent = makeRealCgroup("protected");
  parent.limit(64 * MIB);
  parent.write("cgroup.subtree_control", "+memory");
  const [protectedChild, growing] = ["a", "b"].map((name) => parent.child(name));
  protectedChild!.write("memory.min", 44 * MIB);
  const file = "/disk/oomkit-cache";
  await succeed("dd", "if=/dev/zero", `of=${file}`, "bs=1M", "count=40");
  await succeed("sync");
  Deno.writeTextFileSync("/proc/sys/vm/drop_caches", "3");
  try {
    assert.equal(await runIn(protectedChild!, `cat ${file}`), 0);
    await using guarded = await startGuarded(["--policy", "process", parent.path]);
    await using process = await startHungryProcess(growing!);
    let lives = true;
    while (lives) await process.feed(64 * 1024).catch(() => lives = false);
    const { victim } = await guarded.next(isKillAction);
    assert.equal(victim.pid, process.pid);
    await guarded.stop();
    assert.equal(kernelKills(parent), 0);
  } finally {
    Deno.removeSync(file);
  }
}, { only: 2, why: isEmulated ? undefined : "it drops the page cache of the whole machine" });
