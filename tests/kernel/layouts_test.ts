/** Mounts, namespaces and names that are unusual but legal, on real kernels: each in a mount namespace of its own. */

import assert from "node:assert/strict";
import { isAlive, until } from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { allocateUntilKilled, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeNameless } from "../helpers/nameless_cgroups.ts";
import { isThere } from "../helpers/is_there.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import {
  asUnprivilegedUser,
  oomkit,
  oomkitForAllUsers,
  type Ran,
  runOomkit,
} from "../helpers/run_oomkit.ts";
import { startWatched } from "../helpers/watched.ts";

/** Deepest first; the umount(8) of a guest has no option for it. */
const UNMOUNT_CGROUPS =
  "for at in $(awk '$5 ~ \"^/sys/fs/cgroup\" { print $5 }' /proc/self/mountinfo | " +
  'sort -r); do umount "$at"; done';

/** The words before a program that is run after a shell script, in a mount namespace that the script may change. */
const after = (
  script: string,
) => ["unshare", "-m", "sh", "-c", `set -e; ${script}\nexec "$@"`, "sh"];

const runAfter = (script: string, ...args: string[]): Promise<Ran> =>
  runOomkit(args, { wrap: after(script) });

async function inspectAfter(script: string, ...targets: string[]) {
  const ran = await runAfter(script, "inspect", "--json", ...targets);
  assert.equal(ran.code, 0, ran.stderr);
  return JSON.parse(ran.stdout);
}

/** The mount point of the hierarchy that the cgroup is in. */
const mountOf = ({ dir, path }: RealCgroup) => dir.slice(0, dir.length - path.length);

const ODD_NAMES = [
  "a (deleted)",
  "..a",
  "...",
  "-n",
  "a*b",
  "[a]",
  "a b\tc",
  "a\\040b",
  "é\u2028",
  "pid:1",
  "x.service",
  "#",
];

kernelTest("a cgroup of any legal name is found by its path, its directory and a pid", async () => {
  await using parent = makeRealCgroup("names");
  const children = ODD_NAMES.map((name) => parent.child(name));
  await using processes = new AsyncDisposableStack();
  const pids: string[] = [];
  for (const child of children) {
    const { pid } = processes.use(await startHungryProcess(child));
    pids.push(`pid:${pid}`);
  }
  const paths = children.map(({ path }) => path);
  for (const targets of [paths, children.map(({ dir }) => dir), pids]) {
    const document = await inspectAfter(":", "--processes", "0", ...targets);
    assert.deepEqual(document.targets.map(({ cgroup }: { cgroup: string }) => cgroup), paths);
  }
  await using other = makeRealCgroup("bytes");
  await using nameless = makeNameless(other);
  const before = `echo 0 > "${nameless.dir}/cgroup.procs"`;
  await using outside = await startHungryProcess(other.child("plain"), { before });
  const found = await runOomkit(["inspect", "--processes", "0", `pid:${outside.pid}`]);
  assert.equal(found.code, 0, found.stderr);
  assert.match(found.stdout, /\/\\xff\\x9bx$/m);
});

kernelTest("the cgroup of a zombie is reported as removed", async () => {
  await using parent = makeRealCgroup("removed");
  const child = parent.child("a");
  // sleep(1) does not wait for its child, which stays a zombie.
  const script = '(echo 0 > "$0/cgroup.procs"; exec sh -c "echo \\$\\$; exit") & exec sleep 1000';
  const sleep = new Deno.Command("sh", { args: ["-c", script, child.dir], stdout: "piped" })
    .spawn();
  const stdout = sleep.stdout.getReader();
  try {
    const { value } = await stdout.read();
    const zombie = Number(new TextDecoder().decode(value));
    await until("it is a zombie", () => !isAlive(zombie));
    await child[Symbol.asyncDispose]();
    const { code, stderr } = await runOomkit(["inspect", `pid:${zombie}`]);
    assert.equal(code, 2);
    assert.ok(stderr.includes(`its cgroup was removed: ${child.path} (deleted); `), stderr);
  } finally {
    sleep.kill("SIGKILL");
    await stdout.cancel();
    await sleep.status;
  }
}, { only: 2 });

kernelTest("of two mounts of the hierarchy one that can be written is used", async () => {
  await using cgroup = makeRealCgroup("writable");
  // A shorter path than that of the mount, which decides where both can be written.
  const place = `/oomkit-${Deno.pid % 10_000}`;
  assert.ok(place.length < mountOf(cgroup).length);
  Deno.mkdirSync(place);
  try {
    const second = `mount --bind ${mountOf(cgroup)} ${place}`;
    const readOnly = `${second}; mount -o remount,bind,ro ${place}`;
    const first = await inspectAfter(second, "--processes", "0", cgroup.path);
    assert.equal(first.hierarchy.mount, place);
    const { hierarchy } = await inspectAfter(readOnly, "--processes", "0", cgroup.path);
    assert.deepEqual([hierarchy.mount, hierarchy.writable], [mountOf(cgroup), true]);
  } finally {
    Deno.removeSync(place);
  }
});

kernelTest("a mount that a later one covers is not used", async () => {
  await using cgroup = makeRealCgroup("covered");
  using place = makeMountPoint();
  const mount = mountOf(cgroup);
  const script = `mount --bind ${mount} ${place.dir}; mount -t tmpfs none ${mount}`;
  const { hierarchy, targets } = await inspectAfter(script, "--processes", "0", cgroup.path);
  assert.equal(hierarchy.mount, place.dir);
  assert.equal(targets[0].cgroup, cgroup.path);
  const { code, stderr } = await runAfter(`mount -t tmpfs none ${mount}`, "inspect", cgroup.path);
  assert.equal(code, 2);
  assert.match(stderr, /^oomkit: cannot find memory cgroups: .*mount/);
});

kernelTest(
  "a cgroup that is mounted below itself once more is shown, watched and guarded once",
  async () => {
    await using top = makeRealCgroup("twice");
    const work = top.child("work");
    work.limit(32 * MIB);
    const script = `mkdir -p ${top.dir}/again; mount --bind ${top.dir} ${top.dir}/again`;
    await using process = await startHungryProcess(work);
    const { targets } = await inspectAfter(script, "--tree", top.path);
    const pids = targets[0].processes.map(({ pid }: { pid: number }) => pid);
    assert.deepEqual(pids, [process.pid]);
    const rows = targets[0].tree.map(({ cgroup }: { cgroup: string }) => cgroup);
    assert.deepEqual(rows, [top.path, work.path]);

    const alias = await inspectAfter(script, "--processes", "0", `${top.dir}/again/work`);
    assert.equal(alias.targets[0].cgroup, work.path);

    const program = [...after(script), ...oomkit()];
    await using watch = await startWatched(["-r", top.path], program);
    await allocateUntilKilled(work);
    await watch.next(({ type }) => type === "oom_kill");
    const kills = (await watch.stop()).filter(({ type }) => type === "oom_kill");
    assert.deepEqual(kills.map(({ cgroup }) => cgroup), [work.path]);

    const guard = [
      "guard",
      "--json",
      "--dry-run",
      "-r",
      "--mode",
      "notify",
      "--for",
      "1ms",
      top.path,
    ];
    const { stdout } = await runAfter(script, ...guard);
    const armed = stdout.split("\n").filter((line) => line.includes('"guard_armed"'));
    assert.deepEqual(armed.map((line) => JSON.parse(line).cgroup), [work.path]);
  },
);

kernelTest("what another file system has below a cgroup is not one of its cgroups", async () => {
  await using top = makeRealCgroup("other");
  top.child("sub");
  const script = `mount -t cgroup -o none,name=oomkit-test none ${top.dir}/sub; ` +
    `mkdir ${top.dir}/sub/oomkit-test-inner`;
  const undo = `rmdir ${top.dir}/sub/oomkit-test-inner`;
  const words = `${oomkit().join(" ")} inspect --json --tree ${top.path}`;
  const { targets } = JSON.parse(await outputOf(`${script}; ${words}; ${undo}`));
  assert.deepEqual(targets[0].tree.map(({ cgroup }: { cgroup: string }) => cgroup), [top.path]);
  const named = await outputOf(
    `${script}; ${oomkit().join(" ")} inspect ${top.dir}/sub 2>&1 || echo $?; ${undo}`,
  );
  assert.match(named, /something else is mounted there; .*\n2\n$/);
});

kernelTest("a mount that shows only a part of the hierarchy is not the machine", async () => {
  await using cgroup = makeRealCgroup("part");
  cgroup.limit(64 * MIB);
  using place = makeMountPoint();
  const script = `echo 0 > ${cgroup.dir}/cgroup.procs; mount --bind ${cgroup.dir} ${place.dir}; ` +
    UNMOUNT_CGROUPS;
  const { code, stdout, stderr } = await runAfter(
    script,
    "inspect",
    "--check",
    "--min-headroom",
    "1G",
  );
  assert.equal(code, 1, stdout + stderr);
  assert.match(stdout, /required: at least 1\.0 GiB; its own limit of 64\.0 MiB$/m);
});

kernelTest("a limit wider than the machine's memory is not what is hit first", async () => {
  await using cgroup = makeRealCgroup("wide");
  cgroup.limit(2 ** 42);
  const { host, targets: [found] } = await inspectAfter(":", cgroup.path);
  assert.deepEqual(found.limits.max, { bytes: 2 ** 42, unlimited: false });
  assert.deepEqual(
    [found.effective_limit.bytes, found.effective_limit.scope, found.effective_limit.owner],
    [host.memory_total, "system", null],
  );
  assert.equal(found.headroom.scope, "system");
  assert.ok(found.headroom.bytes < host.memory_total);
  assert.equal(found.oom_forecast.scope, "system");
  const { stdout } = await runOomkit(["inspect", cgroup.path]);
  assert.match(stdout, /limit +4\.0 TiB, its own, more than the machine has/);
  const check = await runOomkit(["inspect", "--check", "--min-headroom", "3T", cgroup.path]);
  assert.equal(check.code, 1, check.stdout);
  const args = ["guard", "--json", "--dry-run", "--mode", "notify", "--for", "1ms", cgroup.path];
  const events = (await runOomkit(args)).stdout.split("\n").filter((line) => line !== "");
  const armed = events.map((line) => JSON.parse(line)).find(({ type }) => type === "guard_armed");
  assert.deepEqual([armed.limit, armed.limit_owner], [host.memory_total, null]);
  using directory = makeMountPoint();
  const report = `${directory.dir}/report.json`;
  await runOomkit(["watch", "--limit", "4T", "--report", report, "--", "true"]);
  const { limit, limit_scope, limit_owner } = JSON.parse(Deno.readTextFileSync(report));
  assert.deepEqual([limit_scope, limit_owner], ["system", null]);
  // What is left of the machine's memory and swap, not all of it.
  assert.ok(limit < host.memory_total, `${limit} of ${host.memory_total}`);
});

kernelTest("without a target a check is of the own cgroup and of the machine", async () => {
  await using cgroup = makeRealCgroup("check");
  cgroup.limit(256 * MIB);
  const enter = ["sh", "-c", 'echo 0 > "$0/cgroup.procs"; exec "$@"', cgroup.dir];
  const check = ["inspect", "--check", "--min-headroom"];
  const own = await runOomkit([...check, "1G"], { wrap: enter });
  assert.equal(own.code, 1, own.stdout + own.stderr);
  assert.match(own.stdout, /; its own limit of 256\.0 MiB$/m);
  const machine = await runOomkit([...check, "1T"]);
  assert.equal(machine.code, 1);
  assert.match(machine.stdout, /; the machine's memory( and swap)? of /);
});

kernelTest("figures of the machine that contradict each other are unknown, not OK", async () => {
  await using cgroup = makeRealCgroup("meminfo");
  using place = makeMountPoint();
  const rows = ["MemTotal: 1000", "MemAvailable: 9000000", "SwapTotal: 0", "SwapFree: 0"];
  const meminfo = rows.map((row) => `${row} kB\\n`).join("");
  const script = `printf '${meminfo}' > ${place.dir}/meminfo; ` +
    `mount --bind ${place.dir}/meminfo /proc/meminfo`;
  const ran = await runAfter(script, "inspect", "--check", "--min-headroom", "1M", cgroup.path);
  assert.equal(ran.code, 2, ran.stdout);
  assert.match(ran.stdout, /^UNKNOWN: min-headroom/);
  const { stdout } = await runAfter(script, "inspect", cgroup.path);
  assert.match(stdout, /headroom +unknown/);
  cgroup.limit(64 * MIB);
  const limited = await runAfter(script, "inspect", "--check", "--min-headroom", "1M", cgroup.path);
  assert.equal(limited.code, 0, limited.stdout);
});

kernelTest(
  "processes in another pid namespace count as hidden, and a guard does not start",
  async () => {
    await using cgroup = makeRealCgroup("pidns");
    cgroup.limit(64 * MIB);
    await using process = await startHungryProcess(cgroup);
    await process.feed(4 * MIB);
    const wrap = [
      "unshare",
      "-m",
      "-p",
      "-f",
      "sh",
      "-c",
      'mount -t proc proc /proc; exec "$@"',
      "sh",
    ];
    const { stdout } = await runOomkit(["inspect", cgroup.path], { wrap });
    assert.match(
      stdout,
      /^hidden +(1|some) of its processes: they are outside this pid namespace/m,
    );
    assert.match(
      stdout.replace(/\s+/g, " "),
      /the victim is unknown: not all processes are visible/,
    );
    const json = await runOomkit(["inspect", "--json", cgroup.path], { wrap });
    const { hidden_processes, oom_forecast } = JSON.parse(json.stdout).targets[0];
    assert.equal(hidden_processes, cgroup.version === 1 ? null : 1);
    assert.equal(oom_forecast.victim_certain, false);
    const args = ["guard", "--policy", "process", "--mode", "notify", "--for", "1ms", cgroup.path];
    const guard = await runOomkit(args, { wrap });
    assert.equal(guard.code, 2, guard.stderr);
    assert.match(guard.stderr, /cannot kill the processes of .*outside this pid namespace/);
  },
);

kernelTest(
  "processes that /proc hides may be the victim of the machine and of a cgroup",
  async () => {
    await using cgroup = makeRealCgroup("hidepid");
    cgroup.limit(64 * MIB);
    await using process = await startHungryProcess(cgroup);
    await process.feed(MIB);
    using shared = await oomkitForAllUsers();
    const script = "mount -t proc -o hidepid=2 proc /proc";
    const [command, ...options] = asUnprivilegedUser;
    // By its path: a shell of busybox would run its own setpriv, which has no such options.
    const wrap = [...after(script), pathOf(command), ...options];
    const shown = async (...targets: string[]) => {
      const ran = await runOomkit(["inspect", ...targets], { ...shared, wrap });
      assert.equal(ran.code, 0, ran.stderr);
      return ran.stdout.replace(/\s+/g, " ");
    };
    const machine = await runOomkit(["inspect", "--json", "/"], { ...shared, wrap });
    assert.equal(machine.code, 0, machine.stderr);
    assert.equal(JSON.parse(machine.stdout).targets[0].oom_forecast.victim_certain, false);
    const text = await shown(cgroup.path);
    assert.match(
      text,
      /hidden 1 of its processes: they are outside this pid namespace, or \/proc hides/,
    );
    assert.match(text, /the victim is unknown: not all processes are visible from here/);
  },
);

kernelTest("without PSI of a cgroup the reason is the one of that cgroup", async () => {
  await using cgroup = makeRealCgroup("psi");
  // Since 6.1.
  if (!isThere(`${cgroup.dir}/cgroup.pressure`)) return;
  cgroup.write("cgroup.pressure", 0);
  const inspect = await runOomkit(["inspect", "--check", "--require", "psi", cgroup.path]);
  assert.equal(inspect.code, 1);
  assert.match(inspect.stdout, /PSI is off for this cgroup; write 1 to .*\/cgroup\.pressure/);
  const args = ["watch", "--no-live", "--psi", "some:150ms/1s", "--for", "1ms", cgroup.path];
  const watch = await runOomkit(args);
  assert.match(watch.stdout, /degraded .*PSI is off for this cgroup/);
}, { only: 2 });

function pathOf(program: string): string {
  const paths = (Deno.env.get("PATH") ?? "").split(":").map((dir) => `${dir}/${program}`);
  return paths.find(isThere) ?? program;
}

kernelTest("a directory of another mount of the hierarchy is the same cgroup", async () => {
  await using cgroup = makeRealCgroup("other-mount");
  using place = makeMountPoint();
  const script = `mount --bind ${cgroup.dir} ${place.dir}`;
  const { targets } = await inspectAfter(script, "--processes", "0", place.dir);
  assert.equal(targets[0].cgroup, cgroup.path);
});

kernelTest("a zombie is in no cgroup on v1, which reports it in the root", async () => {
  // sleep(1) does not wait for its child.
  const script = 'sh -c "echo \\$\\$; exit" & exec sleep 1000';
  const sleep = new Deno.Command("sh", { args: ["-c", script], stdout: "piped" }).spawn();
  const stdout = sleep.stdout.getReader();
  try {
    const { value } = await stdout.read();
    const zombie = Number(new TextDecoder().decode(value));
    await until("it is a zombie", () => !isAlive(zombie));
    const { code, stderr } = await runOomkit(["inspect", `pid:${zombie}`]);
    assert.equal(code, 2);
    assert.match(stderr, /the process has ended \(a zombie\)/);
  } finally {
    sleep.kill("SIGKILL");
    await stdout.cancel();
    await sleep.status;
  }
}, { only: 1 });

kernelTest(
  "without figures of the machine the victim is the largest process, and uncertain",
  async () => {
    await using cgroup = makeRealCgroup("no-meminfo");
    cgroup.limit(64 * MIB);
    await using process = await startHungryProcess(cgroup, { oomScoreAdj: 1 });
    await process.feed(MIB);
    const script = "mount --bind /dev/null /proc/meminfo";
    const { targets } = await inspectAfter(script, cgroup.path);
    const { victim, victim_certain } = targets[0].oom_forecast;
    assert.deepEqual([victim.pid, victim_certain], [process.pid, false]);
  },
);

kernelTest("a guard below a target counts the machine's memory as the limit too", async () => {
  await using parent = makeRealCgroup("wide-below");
  const child = parent.child("wide");
  child.limit(2 ** 42);
  const { host } = await inspectAfter(":", parent.path);
  const args = [
    "guard",
    "--json",
    "--dry-run",
    "-r",
    "--mode",
    "notify",
    "--for",
    "1ms",
    parent.path,
  ];
  const events = (await runOomkit(args)).stdout.split("\n").filter((line) => line !== "");
  const armed = events.map((line) => JSON.parse(line)).find(({ type }) => type === "guard_armed");
  assert.deepEqual([armed.cgroup, armed.limit], [child.path, host.memory_total]);
});

interface MountPoint extends Disposable {
  readonly dir: string;
}

/** In a file system that a cgroup mount does not cover. */
function makeMountPoint(): MountPoint {
  const dir = Deno.makeTempDirSync({ dir: "/tmp", prefix: "oomkit-test-mount-" });
  return { dir, [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }) };
}

/** Of a shell script in a mount namespace of its own. */
async function outputOf(script: string): Promise<string> {
  const { stdout } = await new Deno.Command("unshare", {
    args: ["-m", "sh", "-c", script],
    env: { NO_COLOR: "1" },
    stderr: "inherit",
  }).output();
  return new TextDecoder().decode(stdout);
}
