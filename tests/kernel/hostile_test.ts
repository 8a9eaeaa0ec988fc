/** `oomkit` against users that create cgroups, name processes or mount file systems. */

import assert from "node:assert/strict";
import { cgroupsOfProcesses } from "../../core/cgroup/shared_pid_namespace.ts";
import { readPreference } from "../../core/cgroup/preference.ts";
import { O_RDONLY, openFd } from "../../core/kernel/fd.ts";
import {
  changingModeOf,
  feedSlowly,
  isAlive,
  isKillAction,
  kernelKills,
  startGuarded,
  WIDE,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import {
  allocateUntilKilled,
  anyVersionTest,
  faultUntilKilled,
  kernelTest,
  killOf,
  MIB,
  ofType,
  startFaultingProcess,
  victimsOf,
} from "../helpers/kernel_cases.ts";
import { digDeep, makeNameless } from "../helpers/nameless_cgroups.ts";
import { makeRealCgroup, type RealCgroup, setAttribute } from "../helpers/real_cgroup.ts";
import { asUnprivilegedUser, oomkitForAllUsers, runOomkit } from "../helpers/run_oomkit.ts";
import type { EventStream, Json } from "../helpers/event_stream.ts";
import { startWatched } from "../helpers/watched.ts";

// Loaded outside of the tests: libc is never unloaded, which a test would report as a leak.
if (Deno.build.os === "linux") openFd("/").close();

/** A kill in a cgroup with siblings that are nested too deep for any path, one older and one newer than the command. */
async function killNextToDeepCgroups(
  start: (parent: RealCgroup) => Promise<EventStream>,
  isExpected: (pid: number) => (event: Json) => boolean,
): Promise<Json> {
  await using parent = makeRealCgroup("deep");
  const before = parent.child("before");
  const during = parent.child("during");
  const victim = parent.child("victim");
  victim.limit(32 * MIB);
  await using _before = digDeep(before);
  await using running = await start(parent);
  await using _during = digDeep(during);
  const { pid } = await faultUntilKilled(victim);
  return await running.next(isExpected(pid));
}

kernelTest(
  "cgroups too deep for any path do not prevent the guard of their siblings",
  async () => {
    const action = await killNextToDeepCgroups(
      ({ path }) => startGuarded(["-r", "--policy", "process", path]),
      (pid) => (event) => isKillAction(event) && event.victim?.pid === pid,
    );
    assert.equal(action.outcome, "killed");
  },
);

kernelTest(
  "cgroups too deep for any path do not prevent the watch of their siblings",
  async () => void await killNextToDeepCgroups(({ path }) => startWatched(["-r", path]), killOf),
);

kernelTest("a cgroup with a name that is not UTF-8 is watched like any other", async () => {
  await using parent = makeRealCgroup("bytes");
  const victim = parent.child("victim");
  parent.limit(32 * MIB);
  await using before = makeNameless(parent);
  await using watched = await startWatched(["-r", parent.path]);
  for (const cgroup of [victim, before]) {
    const { pid } = await allocateUntilKilled(cgroup);
    assert.equal((await watched.next(killOf(pid))).cgroup, cgroup.path);
  }
  const events = await watched.stop();
  assert.equal(ofType(events, "oom_kill").length, 2);
});

kernelTest(
  "an allocator in a cgroup with a name that is not UTF-8 is killed, and its neighbour is not",
  async () => {
    await using parent = makeRealCgroup("bytes");
    const sibling = parent.child("sibling");
    parent.limit(32 * MIB);
    await using neighbour = await startHungryProcess(sibling);
    await neighbour.feed(4 * MIB);
    await using guarded = await startGuarded(["--policy", "process", ...WIDE, parent.path]);
    // Created while the guard runs.
    await using hidden = makeNameless(parent);
    const before = `echo 0 > "${hidden.dir}/cgroup.procs"`;
    await using allocator = await startHungryProcess(sibling, { before });
    await allocator.feed(12 * MIB);
    await feedSlowly(allocator, () => false);
    const { outcome, victim: { pid, cgroup } } = await guarded.next(isKillAction);
    assert.deepEqual([outcome, pid, cgroup], ["killed", allocator.pid, hidden.path]);
    assert.equal(kernelKills(parent), 0);
    assert.ok(isAlive(neighbour.pid));
  },
);

anyVersionTest(
  "no name of a cgroup or a process reaches a terminal as control characters",
  async () => {
    await using parent = makeRealCgroup("names");
    const hostile = parent.child("\x1b]0;owned\x07\x1b[2J\x9b31m\u202e");
    const child = new Deno.Command("sh", {
      args: [
        "-c",
        `printf '\\033[2J\\302\\2331m' > /proc/$$/comm; echo 0 > "$0/cgroup.procs"; echo; read -r _`,
        hostile.dir,
        "\x1b[31m",
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    for (
      const args of [
        ["inspect", "--processes", "all", hostile.path],
        ["inspect", "--json", hostile.path],
        ["inspect", "--tree", parent.path],
        ["watch", "-r", "--for", "100ms", parent.path],
        ["inspect", `${hostile.path}x`],
        ["inspect", "--root", hostile.dir, "/none"],
        [
          "guard",
          "--dry-run",
          "--explain",
          "--prefer",
          "x\x1b[31m",
          "--for",
          "100ms",
          hostile.path,
        ],
      ]
    ) {
      const { stdout, stderr } = await runOomkit(args);
      // deno-lint-ignore no-control-regex
      assert.doesNotMatch(stdout + stderr, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/, args.join(" "));
      assert.notEqual(stdout + stderr, "");
    }
    await reader.cancel();
    await child.stdin.close();
    await child.status;
  },
);

kernelTest(
  "under hold, the kernel kills an allocator in a cgroup that is too deep for any path",
  async () => {
    await using cgroup = makeRealCgroup("hidden");
    cgroup.limit(32 * MIB);
    await using hidden = digDeep(cgroup);
    const flags = ["--policy", "process", "--mode", "hold"];
    await using guarded = await startGuarded([...flags, cgroup.path]);
    await using allocator = startFaultingProcess(hidden.enter);
    await guarded.next(({ type, reason }) =>
      type === "degraded" && reason === "no process in the cgroup may be killed"
    );
    assert.equal((await allocator.status).signal, "SIGKILL");
  },
  { only: 1 },
);

anyVersionTest("a forged kill in the kernel log is ignored", async () => {
  await using parent = makeRealCgroup("forged");
  const victim = parent.child("victim");
  victim.limit(16 * MIB);
  await using watched = await startWatched(["-r", parent.path]);
  const pid = 4_000_000;
  const forge = (line: string) => {
    try {
      // Priority 3 of facility 0, which the kernel changes to 1.
      Deno.writeTextFileSync("/dev/kmsg", `<3>${line}\n`, { create: false });
    } catch {
      // Nothing can be forged where it is not writable.
    }
  };
  forge(
    `oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,` +
      `oom_memcg=${victim.path},task_memcg=${victim.path},task=x,pid=${pid},uid=0`,
  );
  forge(`Memory cgroup out of memory: Killed process ${pid} (x) total-vm:1kB, anon-rss:1kB`);
  const { pid: real } = await allocateUntilKilled(victim);
  await watched.next(killOf(real));
  const events = await watched.stop();
  assert.deepEqual(victimsOf(events), [real]);
  assert.equal(ofType(events, "oom_kill").length, 1);
});

/** A mount namespace with FIFOs and plain files in the place of control files. */
const FORGED_MOUNT = `
mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/memory
for dir in /sys/fs/cgroup/memory /sys/fs/cgroup; do
  cd $dir && echo $$ > cgroup.procs && touch cgroup.controllers
  mkfifo memory.usage_in_bytes memory.limit_in_bytes memory.current memory.max memory.stat
done
echo ready; read -r _`;

kernelTest(
  "control files that a container mounts itself are neither trusted nor waited for",
  async () => {
    const child = new Deno.Command("unshare", {
      args: ["-m", "sh", "-c", FORGED_MOUNT],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    const trusted = cgroupsOfProcesses(new Set()).map(({ dir }) => dir);
    await reader.cancel();
    await child.stdin.close();
    await child.status;
    assert.deepEqual(trusted.filter((dir) => dir.startsWith(`/proc/${child.pid}/`)), []);
  },
);

anyVersionTest(
  "an unprivileged user can neither read nor change the journals of a guard",
  async () => {
    await using cgroup = makeRealCgroup("unprivileged");
    cgroup.limit(32 * MIB);
    const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-state-" });
    try {
      const mode = changingModeOf(cgroup);
      await using _guarded = await startGuarded([
        "--policy",
        "process",
        "--mode",
        mode,
        cgroup.path,
      ], {
        stateDirectory: `${directory}/state`,
      });
      const modes = [...Deno.readDirSync(`${directory}/state`)].map(({ name }) =>
        Deno.lstatSync(`${directory}/state/${name}`).mode! & 0o777
      );
      assert.deepEqual([...new Set(modes)], [0o600]);
      assert.equal(Deno.lstatSync(`${directory}/state`).mode! & 0o777, 0o700);
      Deno.chmodSync(directory, 0o755);
      const [command, ...args] = [...asUnprivilegedUser, "ls", `${directory}/state`];
      assert.notEqual(new Deno.Command(command, { args, stderr: "null" }).outputSync().code, 0);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
);

anyVersionTest(
  "a guard of an ordinary user ends in peace beside root's state directory",
  async () => {
    await using cgroup = makeRealCgroup("ordinary");
    cgroup.limit(32 * MIB);
    using program = await oomkitForAllUsers();
    const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-state-" });
    Deno.chmodSync(directory, 0o755);
    Deno.mkdirSync(`${directory}/state`, { mode: 0o700 });
    try {
      const args = ["guard", "--policy", "process", "--for", "300ms", cgroup.path];
      const { code, stderr } = await runOomkit(args, {
        wrap: asUnprivilegedUser,
        program: program.program,
        env: { ...program.env, OOMKIT_STATE_DIR: `${directory}/state` },
      });
      assert.equal(code, 0, stderr);
      assert.deepEqual([...Deno.readDirSync(`${directory}/state`)], []);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
  { why: Deno.env.has("OOMKIT_BIN") ? undefined : "the monitor thread needs the executable" },
);

kernelTest(
  "user.oomd_omit is ignored on a cgroup of another user",
  async () => {
    await using parent = makeRealCgroup("omit");
    const own = parent.child("own");
    const other = parent.child("other");
    for (const { dir } of [own, other]) setAttribute(dir, "user.oomd_omit", "1");
    Deno.chownSync(other.dir, 1000, 1000);
    const preferences = [own, other].map(({ dir }) => {
      using directory = openFd(dir, O_RDONLY);
      return readPreference(directory, Deno.statSync(dir).uid!, 0);
    });
    assert.deepEqual(preferences, ["omit", undefined]);
  },
);
