/** `oomkit inspect` against real kernels: what it says is what the kernel does. */

import assert from "node:assert/strict";
import { isAlive } from "../helpers/guarded.ts";
import { type HungryProcess, startHungryProcess } from "../helpers/hungry_process.ts";
import { inspectJson } from "../helpers/inspect_json.ts";
import { makeRealCgroup, type RealCgroup, whyNoRealCgroup } from "../helpers/real_cgroup.ts";
import { asNobody, oomkitForEveryone, runOomkit } from "../helpers/run_oomkit.ts";
import { startContainer, whyNoRunc } from "../helpers/runc_container.ts";

const MIB = 1024 ** 2;
const noCgroup = whyNoRealCgroup();

function kernelTest(name: string, run: () => Promise<void>, why = noCgroup): void {
  Deno.test({
    name: why ? `${name} (not run: ${why})` : name,
    ignore: why !== undefined,
    fn: run,
  });
}

const usageOf = (cgroup: RealCgroup) =>
  Number(cgroup.read(cgroup.version === 1 ? "memory.usage_in_bytes" : "memory.current"));

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
  // It is still taking in what a pipe holds, and the kernel counts pages in batches.
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

kernelTest("who is named is who dies, also in a sibling's cgroup", async () => {
  await using parent = makeRealCgroup("victim");
  parent.limit(64 * MIB);
  const a = parent.child("a");
  const b = parent.child("b");
  await using large = await startHungryProcess(a);
  await using marked = await startHungryProcess(b, { oomScoreAdj: 1000 });
  await large.feed(20 * MIB);
  // As much as is fed before its death is noticed must not be the end of the other one.
  await marked.feed(24 * MIB);
  const found = await inspectOne(a.path);
  assert.equal(found.oom_forecast.owner, parent.path);
  assert.equal(found.oom_forecast.victim.pid, marked.pid);
  assert.equal(found.oom_forecast.victim.cgroup, b.path);
  const { stdout } = await runOomkit(["inspect", a.path]);
  assert.ok(
    stdout.replace(/\s+/g, " ").includes(`kill pid ${marked.pid} (tail), in ${b.path}.`),
    stdout,
  );

  const dead = marked.status.then(({ code }) => code);
  await feedWhile(large, marked.pid);
  assert.equal(await dead, 137);

  // With the marked one gone it is the largest.
  const next = await inspectOne(b.path);
  assert.equal(next.oom_forecast.victim.pid, large.pid);
  const gone = large.status.then(({ code }) => code);
  await feedWhile(large, large.pid);
  assert.equal(await gone, 137);
  const after = await inspectOne(parent.path);
  assert.equal(after.oom_forecast.victim, null);
  const kills = parent.version === 2
    ? after.counters.subtree.oom_kill
    : (await inspectOne(a.path)).counters.local.oom_kill;
  assert.equal(kills, parent.version === 2 ? 2 : 1);
});

/** Asks the kernel whether `pid` lives: what is fed until its end is noticed otherwise may be another one's end. */
async function feedWhile(hungry: HungryProcess, pid: number): Promise<void> {
  const ended = hungry.status.then(() => {});
  while (isAlive(pid)) {
    const fed = hungry.feed(MIB / 4).catch(() => ended);
    await Promise.race([fed, ended]);
  }
}

kernelTest(
  "what happens at the limit is what is set: a group dies, a held killer kills nobody",
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
      assert.equal(oom_forecast.oom_killer_disabled, false);
    } else {
      parent.write("memory.oom_control", 1);
      const { oom_forecast, oom_kill_disabled } = await inspectOne(parent.path);
      assert.equal(oom_kill_disabled, true);
      assert.equal(oom_forecast.oom_killer_disabled, true);
    }
    assert.notEqual(one.pid, two.pid);
  },
);

kernelTest("a cgroup that is gone is one line, at whatever moment it goes", async () => {
  await using parent = makeRealCgroup("gone");
  const gone = await runOomkit(["inspect", `${parent.path}/never`]);
  assert.equal(gone.code, 2);
  assert.match(gone.stderr, /^oomkit: cannot resolve [^\n]*there is no such cgroup[^\n]*\n$/);
  for (let round = 0; round < 5; round++) {
    const children = Array.from({ length: 60 }, (_, n) => parent.child(`c${n}`));
    const running = runOomkit(["inspect", "--json", `${parent.path}/*`, `${parent.path}/c59`]);
    // One after the other while it reads, beginning with the last; they wait for nobody.
    for (const child of children.toReversed()) await child[Symbol.asyncDispose]();
    const { code, stderr } = await running;
    assert.ok(code === 0 || code === 2);
    assert.match(stderr, /^(oomkit: cannot (resolve|inspect) [^\n]+\n)*$/);
  }
});

kernelTest("what another user may not read is one line", async () => {
  await using cgroup = makeRealCgroup("nobody");
  using everyone = await oomkitForEveryone();
  const options = { ...everyone, wrap: asNobody };
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

kernelTest("a check asks the kernel itself", async () => {
  await using cgroup = makeRealCgroup("check");
  cgroup.limit(20 * MIB);
  const list = `limit,v${cgroup.version},notify,write,killer,no-kills`;
  const args = ["inspect", "--check", cgroup.path, "--min-headroom", "90%", "--require", list];
  const fit = await runOomkit(args);
  assert.equal(fit.stdout.split("\n")[0], "OK: 7 checks passed");
  assert.equal(fit.code, 0);
  using everyone = await oomkitForEveryone();
  const unfit = await runOomkit(args, { ...everyone, wrap: asNobody });
  assert.equal(unfit.code, 1);
  if (cgroup.version === 1) {
    // Some kernels let everybody register for notifications, some only root.
    const mode = Deno.statSync(`${cgroup.dir}/cgroup.event_control`).mode!;
    const verdict = (mode & 0o002) === 0 ? "not ok" : "ok";
    assert.match(unfit.stdout, new RegExp(`^${verdict} +notify .*event_control`, "m"));
  }
  assert.match(unfit.stdout, /^not ok +write .*cannot write .*ermission denied/m);
});

kernelTest("without a target on a machine, the machine is meant", async () => {
  const { code, document } = await inspectJson(["--processes", "3"]);
  assert.equal(code, 0);
  assert.equal(document.targets[0].cgroup, "/");
  assert.ok(document.host.memory_total > document.host.memory_available);
  assert.ok(document.targets[0].tree.length >= 1);
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
  kernelTest(`a container ${where} is told what it cannot see`, async () => {
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
    // Without a namespace of its own a v2 container is shown everything, and v1 reveals what lies above anyway.
    const seesAll = parent.version === 2 && !cgroupNamespace;
    assert.equal(text.includes("unseen the ancestors of"), !seesAll, stdout);
    const whose = seesAll
      ? `limit 256.0 MiB, set by ${parent.path}, its parent`
      : parent.version === 1
      ? "limit 256.0 MiB, set by an ancestor that cannot be seen from here"
      : "limit 512.0 MiB, its own; an ancestor that cannot be seen may be tighter";
    assert.ok(text.includes(whose), stdout);
    assert.match(text, /kill pid \d+ \(/);
  }, noCgroup ?? whyNoRunc());
}
