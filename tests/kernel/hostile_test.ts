/** What those who may make cgroups, name processes or mount can do to who watches and guards them. */

import assert from "node:assert/strict";
import { cgroupsOfProcesses } from "../../core/cgroup/shared_pid_namespace.ts";
import { readPreference } from "../../core/cgroup/preference.ts";
import { O_RDONLY, openFd } from "../../core/kernel/fd.ts";
import {
  feedSlowly,
  isAlive,
  isKillAction,
  kernelKills,
  startGuarded,
  WIDE,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { eatToDeath, kernelTest, killOf, MIB, ofType, victimsOf } from "../helpers/kernel_cases.ts";
import { digDeep, makeNameless } from "../helpers/nameless_cgroups.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { asNobody, runOomkit } from "../helpers/run_oomkit.ts";
import type { EventStream, Json } from "../helpers/event_stream.ts";
import { startWatched } from "../helpers/watched.ts";

// Loaded once for all, which a test would be told is a leak.
if (Deno.build.os === "linux") openFd("/").close();

/** A parent, and a victim in it beside cgroups too deep for any path, of which one was there before and one comes later. */
async function besideTheDeep(
  tell: (parent: RealCgroup) => Promise<EventStream>,
  isToldOf: (pid: number) => (event: Json) => boolean,
): Promise<Json> {
  await using parent = makeRealCgroup("deep");
  const before = parent.child("before");
  const during = parent.child("during");
  const victim = parent.child("victim");
  victim.limit(32 * MIB);
  await using _before = digDeep(before);
  await using telling = await tell(parent);
  await using _during = digDeep(during);
  const { pid } = await eatToDeath(victim);
  return await telling.next(isToldOf(pid));
}

kernelTest(
  "cgroups too deep for any path keep nobody from guarding what lies beside them",
  async () => {
    const action = await besideTheDeep(
      ({ path }) => startGuarded(["-r", "--policy", "process", path]),
      (pid) => (event) => isKillAction(event) && event.victim?.pid === pid,
    );
    assert.equal(action.outcome, "killed");
  },
);

kernelTest(
  "cgroups too deep for any path keep nobody from watching what lies beside them",
  async () => void await besideTheDeep(({ path }) => startWatched(["-r", path]), killOf),
);

kernelTest("a cgroup whose name is no UTF-8 is watched as any other", async () => {
  await using parent = makeRealCgroup("bytes");
  const victim = parent.child("victim");
  parent.limit(32 * MIB);
  await using before = makeNameless(parent);
  await using watched = await startWatched(["-r", parent.path]);
  for (const cgroup of [victim, before]) {
    const { pid } = await eatToDeath(cgroup);
    assert.equal((await watched.next(killOf(pid))).cgroup, cgroup.path);
  }
  const events = await watched.stop();
  assert.equal(ofType(events, "oom_kill").length, 2);
});

kernelTest(
  "who eats in a cgroup whose name is no UTF-8 is taken, and nobody beside him",
  async () => {
    await using parent = makeRealCgroup("bytes");
    const beside = parent.child("beside");
    parent.limit(32 * MIB);
    await using innocent = await startHungryProcess(beside);
    await innocent.feed(4 * MIB);
    await using guarded = await startGuarded(["--policy", "process", ...WIDE, parent.path]);
    // It comes while the guard is there.
    await using hidden = makeNameless(parent);
    const before = `echo 0 > "${hidden.dir}/cgroup.procs"`;
    await using eater = await startHungryProcess(beside, { before });
    await eater.feed(12 * MIB);
    await feedSlowly(eater, () => false);
    const { outcome, victim: { pid, cgroup } } = await guarded.next(isKillAction);
    assert.deepEqual([outcome, pid, cgroup], ["killed", eater.pid, hidden.path]);
    assert.equal(kernelKills(parent), 0);
    assert.ok(isAlive(innocent.pid));
  },
);

kernelTest(
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
  "who hides in a cgroup that cannot be named is left to the kernel, also where its killer was off",
  async () => {
    await using cgroup = makeRealCgroup("hidden");
    cgroup.limit(32 * MIB);
    await using hidden = digDeep(cgroup);
    const flags = ["--policy", "process", "--mode", "hold"];
    await using guarded = await startGuarded([...flags, cgroup.path]);
    // By itself and in no system call: those do not wait at the limit, but fail (EFAULT, ENOMEM).
    const eater = `${hidden.enter} && x=x && while x=$x$x; do :; done`;
    const child = new Deno.Command("sh", { args: ["-c", eater], stdout: "null" }).spawn();
    await guarded.next(({ type, reason }) =>
      type === "degraded" && reason === "no process in the cgroup may be killed"
    );
    assert.equal((await child.status).code, 137);
  },
  { only: 1 },
);

kernelTest("a kill that a program writes to the kernel's log is none", async () => {
  await using parent = makeRealCgroup("forged");
  const victim = parent.child("victim");
  victim.limit(16 * MIB);
  await using watched = await startWatched(["-r", parent.path]);
  const pid = 4_000_000;
  const lie = (line: string) => {
    try {
      // Priority 3 of facility 0, which the kernel changes to 1.
      Deno.writeTextFileSync("/dev/kmsg", `<3>${line}\n`, { create: false });
    } catch {
      // Where it may not be written there is nothing to be forged.
    }
  };
  lie(
    `oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,` +
      `oom_memcg=${victim.path},task_memcg=${victim.path},task=x,pid=${pid},uid=0`,
  );
  lie(`Memory cgroup out of memory: Killed process ${pid} (x) total-vm:1kB, anon-rss:1kB`);
  const { pid: real } = await eatToDeath(victim);
  await watched.next(killOf(real));
  const events = await watched.stop();
  assert.deepEqual(victimsOf(events), [real]);
  assert.equal(ofType(events, "oom_kill").length, 1);
});

/** In a mount namespace of its own, where FIFOs and figures of its own stand for the control files. */
const LIAR = `
mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/memory
for dir in /sys/fs/cgroup/memory /sys/fs/cgroup; do
  cd $dir && echo $$ > cgroup.procs && touch cgroup.controllers
  mkfifo memory.usage_in_bytes memory.limit_in_bytes memory.current memory.max memory.stat
done
echo ready; read -r _`;

kernelTest(
  "control files that a container has mounted for itself are neither believed nor waited for",
  async () => {
    const child = new Deno.Command("unshare", {
      args: ["-m", "sh", "-c", LIAR],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    const believed = cgroupsOfProcesses(new Set()).map(({ dir }) => dir);
    await reader.cancel();
    await child.stdin.close();
    await child.status;
    assert.deepEqual(believed.filter((dir) => dir.startsWith(`/proc/${child.pid}/`)), []);
  },
);

kernelTest(
  "who is nobody can neither change a limit through a guard nor read its state",
  async () => {
    await using cgroup = makeRealCgroup("nobody");
    cgroup.limit(32 * MIB);
    const folder = Deno.makeTempDirSync({ prefix: "oomkit-test-state-" });
    try {
      const mode = cgroup.version === 1 ? "hold" : "throttle";
      await using _guarded = await startGuarded([
        "--policy",
        "process",
        "--mode",
        mode,
        cgroup.path,
      ], {
        stateFolder: `${folder}/state`,
      });
      const modes = [...Deno.readDirSync(`${folder}/state`)].map(({ name }) =>
        Deno.lstatSync(`${folder}/state/${name}`).mode! & 0o777
      );
      assert.deepEqual([...new Set(modes)], [0o600]);
      assert.equal(Deno.lstatSync(`${folder}/state`).mode! & 0o777, 0o700);
      Deno.chmodSync(folder, 0o755);
      const [command, ...args] = [...asNobody, "ls", `${folder}/state`];
      assert.notEqual(new Deno.Command(command, { args, stderr: "null" }).outputSync().code, 0);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
);

kernelTest(
  "a cgroup's wish to be spared counts for nothing when its owner is another user",
  async () => {
    await using parent = makeRealCgroup("wish");
    const own = parent.child("own");
    const foreign = parent.child("foreign");
    for (const { dir } of [own, foreign]) setAttribute(dir, "user.oomd_omit", "1");
    Deno.chownSync(foreign.dir, 1000, 1000);
    const preferences = [own, foreign].map(({ dir }) => {
      using directory = openFd(dir, O_RDONLY);
      return readPreference(directory, Deno.statSync(dir).uid!, 0);
    });
    assert.deepEqual(preferences, ["omit", undefined]);
  },
);

function setAttribute(path: string, name: string, value: string): void {
  const parameters = ["buffer", "buffer", "buffer", "usize", "i32"] as const;
  const libc = Deno.dlopen("libc.so.6", { setxattr: { parameters, result: "i32" } });
  const [pathText, nameText, text] = [`${path}\0`, `${name}\0`, value].map((each) =>
    new TextEncoder().encode(each)
  );
  const result = libc.symbols.setxattr(pathText!, nameText!, text!, BigInt(text!.length), 0);
  libc.close();
  assert.equal(result, 0, `cannot set ${name}`);
}
