/** `oomkit inspect` against real kernels: its output is what the kernel does. */

import assert from "node:assert/strict";
import { kernelKills, usageOf } from "../helpers/guarded.ts";
import { type HungryProcess, startHungryProcess } from "../helpers/hungry_process.ts";
import { inspectJson } from "../helpers/inspect_json.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { asUnprivilegedUser, oomkitForAllUsers, runOomkit } from "../helpers/run_oomkit.ts";
import { startContainer, whyNoRunc } from "../helpers/runc_container.ts";

async function inspectOne(target: string) {
  const { document, stderr } = await inspectJson([target]);
  assert.equal(stderr, "");
  return document.targets[0];
}

kernelTest("the numbers are those of the control files", async () => {
  await using parent = makeRealCgroup("numbers");
  parent.limit(64 * MIB);
  const child = parent.child("c");
  child.limit(20 * MIB);
  await using hungry = await startHungryProcess(child);
  await hungry.feed(8 * MIB);
  const found = await inspectOne(child.path);
  assert.equal(found.cgroup, child.path);
  assert.equal(found.directory, child.dir);
  assert.equal(found.inode, Deno.statSync(child.dir).ino);
  // The process is still reading from its pipe, and the kernel counts pages in batches.
  assert.ok(Math.abs(found.usage - usageOf(child)) < MIB, `${found.usage}`);
  assert.ok(found.usage > 7 * MIB && found.usage < 12 * MIB);
  assert.ok(found.memory.anon > 7 * MIB);
  assert.deepEqual(found.limits.max, { bytes: 20 * MIB, unlimited: false });
  assert.equal(found.effective_limit.owner, child.path);
  assert.equal(found.headroom.bytes, 20 * MIB - found.ancestry[0].usage);
  assert.equal(found.counters.local.oom_kill, 0);
  const [process, ...more] = found.processes;
  assert.deepEqual(more, []);
  assert.equal(process.pid, hungry.pid);
  assert.equal(process.comm, "tail");
  assert.equal(process.oom_score, Number(Deno.readTextFileSync(`/proc/${hungry.pid}/oom_score`)));
  assert.ok(process.badness > 7 * MIB);
});

kernelTest("a pid leads to its cgroup, and an ancestor's limit to the ancestor", async () => {
  await using parent = makeRealCgroup("owner");
  parent.limit(64 * MIB);
  const child = parent.child("c");
  await using hungry = await startHungryProcess(child);
  const found = await inspectOne(`pid:${hungry.pid}`);
  assert.equal(found.cgroup, child.path);
  assert.deepEqual(found.limits.max, { bytes: null, unlimited: true });
  assert.equal(found.effective_limit.bytes, 64 * MIB);
  assert.equal(found.effective_limit.owner, parent.path);
  const { stdout } = await runOomkit(["inspect", child.path]);
  assert.ok(
    stdout.replace(/\s+/g, " ").includes(`64.0 MiB, set by ${parent.path}, its parent`),
    stdout,
  );
});

kernelTest(
  "the forecast victim is the one that the kernel kills, also in a sibling's cgroup",
  async () => {
    await using parent = makeRealCgroup("victim");
    parent.limit(64 * MIB);
    const a = parent.child("a");
    const b = parent.child("b");
    await using large = await startHungryProcess(a);
    await using marked = await startHungryProcess(b, { oomScoreAdj: 1000 });
    await large.feed(20 * MIB);
    // What is fed until the kill is counted must not kill the other process.
    await marked.feed(24 * MIB);
    const found = await inspectOne(a.path);
    assert.equal(found.oom_forecast.limit_owner, parent.path);
    assert.equal(found.oom_forecast.victim.pid, marked.pid);
    assert.equal(found.oom_forecast.victim.cgroup, b.path);
    const { stdout } = await runOomkit(["inspect", a.path]);
    assert.ok(
      stdout.replace(/\s+/g, " ").includes(`kill pid ${marked.pid} (tail), in ${b.path}.`),
      stdout,
    );

    await feedUntilKill(large, marked);

    // The kernel may kill a second process while the first one exits: what follows needs a new one.
    await large[Symbol.asyncDispose]();
    await using alone = await startHungryProcess(a);
    await alone.feed(20 * MIB);
    const next = await inspectOne(b.path);
    assert.equal(next.oom_forecast.victim.pid, alone.pid);
    await feedUntilKill(alone, alone);
    const after = await inspectOne(parent.path);
    assert.equal(after.oom_forecast.victim, null);
    const isV2 = parent.version === 2;
    const { counters } = isV2 ? after : await inspectOne(a.path);
    const kills = (isV2 ? counters.subtree : counters.local).oom_kill;
    assert.equal(kills, kernelKills(isV2 ? parent : a));
  },
);

/** Feeds until the kernel has killed `victim`. */
async function feedUntilKill(hungry: HungryProcess, victim: HungryProcess): Promise<void> {
  let code: number | undefined;
  const exit = victim.status.then((status) => code = status.code);
  while (code === undefined) {
    const fed = hungry.feed(MIB / 4).catch(() => exit);
    await Promise.race([fed, exit]);
  }
  assert.equal(code, 137);
}

kernelTest(
  "the forecast follows the settings: a group is killed, a disabled OOM killer kills nothing",
  async () => {
    await using parent = makeRealCgroup("group");
    parent.limit(64 * MIB);
    const a = parent.child("a");
    await using one = await startHungryProcess(a);
    await using two = await startHungryProcess(a);
    await one.feed(4 * MIB);
    if (parent.version === 2) {
      parent.write("memory.oom.group", 1);
      const { oom_forecast } = await inspectOne(a.path);
      assert.deepEqual(oom_forecast.group, { cgroup: parent.path, processes: 2 });
      assert.equal(oom_forecast.oom_kill_disabled, false);
    } else {
      parent.write("memory.oom_control", 1);
      const { oom_forecast, oom_kill_disabled } = await inspectOne(parent.path);
      assert.equal(oom_kill_disabled, true);
      assert.equal(oom_forecast.oom_kill_disabled, true);
    }
    assert.notEqual(one.pid, two.pid);
  },
);

kernelTest("a cgroup that is removed at any moment is one line", async () => {
  await using parent = makeRealCgroup("gone");
  const gone = await runOomkit(["inspect", `${parent.path}/never`]);
  assert.equal(gone.code, 2);
  assert.match(gone.stderr, /^oomkit: cannot resolve [^\n]*there is no such cgroup[^\n]*\n$/);
  for (let round = 0; round < 5; round++) {
    const children = Array.from({ length: 60 }, (_, n) => parent.child(`c${n}`));
    const running = runOomkit(["inspect", "--json", `${parent.path}/*`, `${parent.path}/c59`]);
    // They are removed one by one during the read, beginning with the last.
    for (const child of children.toReversed()) await child[Symbol.asyncDispose]();
    const { code, stderr } = await running;
    assert.ok(code === 0 || code === 2);
    assert.match(stderr, /^(oomkit: cannot (resolve|inspect) [^\n]+\n)*$/);
  }
});

kernelTest("a file that another user may not read is one line", async () => {
  await using cgroup = makeRealCgroup("other-user");
  using shared = await oomkitForAllUsers();
  const options = { ...shared, wrap: asUnprivilegedUser };
  const open = await runOomkit(["inspect", cgroup.path], options);
  assert.equal(open.stderr, "");
  assert.equal(open.code, 0);
  const file = cgroup.version === 1 ? "memory.usage_in_bytes" : "memory.current";
  Deno.chmodSync(`${cgroup.dir}/${file}`, 0);
  const { code, stdout, stderr } = await runOomkit(["inspect", cgroup.path], options);
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.match(
    stderr,
    /^oomkit: cannot read [^\n]+: permission denied; run as root or as its owner\n$/,
  );
});

kernelTest("--check uses the real control files", async () => {
  await using cgroup = makeRealCgroup("check");
  cgroup.limit(20 * MIB);
  const list = `limit,v${cgroup.version},notify,write,killer,no-kills`;
  const args = ["inspect", "--check", cgroup.path, "--min-headroom", "90%", "--require", list];
  const fit = await runOomkit(args);
  assert.equal(fit.stdout.split("\n")[0], "OK: 7 checks passed");
  assert.equal(fit.code, 0);
  using shared = await oomkitForAllUsers();
  const unfit = await runOomkit(args, { ...shared, wrap: asUnprivilegedUser });
  assert.equal(unfit.code, 1);
  if (cgroup.version === 1) {
    // Some kernels let every user register for notifications, some only root.
    const mode = Deno.statSync(`${cgroup.dir}/cgroup.event_control`).mode!;
    const verdict = (mode & 0o002) === 0 ? "not ok" : "ok";
    assert.match(unfit.stdout, new RegExp(`^${verdict} +notify .*event_control`, "m"));
  }
  assert.match(unfit.stdout, /^not ok +write .*cannot write .*ermission denied/m);
});

kernelTest("the default target on a machine is the whole machine", async () => {
  const { code, document } = await inspectJson(["--processes", "3"]);
  assert.equal(code, 0);
  assert.equal(document.targets[0].cgroup, "/");
  assert.ok(document.host.memory_total > document.host.memory_available);
  assert.ok(document.targets[0].tree.length >= 1);
  const sorted = await runOomkit(["inspect", "--sort", "name", "--top", "1", "--no-headers"]);
  assert.doesNotMatch(sorted.stdout, /USAGE/);
  assert.match(sorted.stdout.trimEnd().split("\n").at(-2)!, /^$/);
  const check = await runOomkit([
    "inspect",
    "--check",
    "--min-headroom",
    "1%",
    "--max-usage",
    "99%",
  ]);
  assert.equal(check.code, 0, check.stdout);
});

for (const cgroupNamespace of [true, false]) {
  const where = cgroupNamespace ? "in a cgroup namespace" : "with only its own part mounted";
  kernelTest(`a container ${where} lists what is not visible`, async () => {
    await using parent = makeRealCgroup("container");
    parent.limit(256 * MIB);
    await using container = await startContainer({ parent, limit: 512 * MIB, cgroupNamespace });
    const outside = await inspectOne(`runc:${container.name}`);
    assert.equal(outside.cgroup, container.path);
    assert.deepEqual(outside.limits.max, { bytes: 512 * MIB, unlimited: false });
    assert.equal(outside.effective_limit.owner, parent.path);
    assert.equal(outside.processes[0].ns_pids.at(-1), 1);

    const { code, stdout, stderr } = await container.oomkit(["inspect"]);
    assert.equal(stderr, "");
    assert.equal(code, 0, stdout);
    const text = stdout.replace(/\s+/g, " ");
    assert.ok(text.includes("read-only"), stdout);
    // Without its own namespace a v2 container sees everything, and v1 reveals the limit above in any case.
    const seesAll = parent.version === 2 && !cgroupNamespace;
    assert.equal(text.includes("hidden ancestors of"), !seesAll, stdout);
    const limit = seesAll
      ? `limit 256.0 MiB, set by ${parent.path}, its parent`
      : parent.version === 1
      ? "limit 256.0 MiB, set by an ancestor that is not visible from here"
      : "limit 512.0 MiB, its own; an ancestor that is not visible from here may have a tighter limit";
    assert.ok(text.includes(limit), stdout);
    assert.match(text, /kill pid \d+ \(/);
  }, { why: whyNoRunc() });
}
