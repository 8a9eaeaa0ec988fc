/** `oomkit status` of real guards. */

import assert from "node:assert/strict";
import {
  changingModeOf,
  isArmed,
  isKillAction,
  makeStateDirectory,
  startGuarded,
  WIDE,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { anyVersionTest, faultUntilKilled, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { asUnprivilegedUser, oomkitForAllUsers, runOomkit } from "../helpers/run_oomkit.ts";
import { statusJson } from "../helpers/status_json.ts";

const LIMIT = 64 * MIB;

const socketsIn = (path: string): string[] =>
  [...Deno.readDirSync(path)].map(({ name }) => name).filter((name) => name.endsWith(".socket"));

kernelTest(
  "a kill is in the status of its guard and of its cgroup, which comes first",
  async () => {
    await using parent = makeRealCgroup("status");
    const [idle, busy] = ["a", "b"].map((name) => parent.child(name));
    for (const each of [idle!, busy!]) each.limit(LIMIT);
    using state = makeStateDirectory();
    const args = ["-r", "--policy", "process", "--log-file", "/dev/null", parent.path];
    await using guarded = await startGuarded(args, { stateDirectory: state.path });
    for (const each of [idle!, busy!]) await guarded.next(isArmed(each));
    await faultUntilKilled(busy!);
    const kill = await guarded.next(isKillAction);
    await using other = await startHungryProcess(busy!);
    await other.feed(MIB);

    const { code, stderr, document } = await statusJson([], { env: state.env });
    assert.deepEqual([code, stderr, document.failures], [0, "", []]);
    const [status, ...more] = document.guards;
    assert.deepEqual(more, []);
    assert.equal(status.pid, guarded.pid);
    assert.deepEqual([status.targets, status.recursive], [[parent.path], true]);
    assert.deepEqual(status.policies.map(({ actions }: { actions: unknown }) => actions), [
      { warn: [], critical: [], imminent: ["process"] },
    ]);
    const { pending, sent } = status.receivers[0];
    assert.equal(status.receivers[0].receiver, "log");
    assert.ok(pending + sent >= 3, `${pending} pending, ${sent} sent`);
    assert.ok(status.process.anon_rss > MIB && status.process.cpu_seconds > 0);
    assert.equal(status.guard_kills, 1);
    assert.deepEqual(
      status.last_actions.map(({ ts, message }: typeof kill) => [ts, message]),
      [[kill.ts, kill.message]],
    );
    const [first, second] = status.cgroups;
    assert.deepEqual([first.cgroup, second.cgroup], [busy!.path, idle!.path]);
    assert.ok(first.usage >= MIB && first.usage < LIMIT, String(first.usage));
    assert.deepEqual([first.limit, first.limit_owner], [LIMIT, busy!.path]);
    assert.deepEqual([first.guard_kills, second.guard_kills], [1, 0]);
    assert.deepEqual([first.last_action.ts, second.last_action], [kill.ts, null]);

    const { stdout } = await runOomkit(["status"], { env: state.env });
    assert.match(stdout, new RegExp(`^guard ${guarded.pid}  up `));
    assert.ok(stdout.includes(kill.message), stdout);
    await guarded.stop();
  },
);

kernelTest("what the mode has changed is shown while it lasts", async () => {
  await using cgroup = makeRealCgroup("status-mode");
  cgroup.limit(LIMIT);
  using state = makeStateDirectory();
  const mode = changingModeOf(cgroup);
  const args = ["--policy", "process", "--mode", mode, ...WIDE, cgroup.path];
  await using guarded = await startGuarded(args, { stateDirectory: state.path });
  const { document } = await statusJson([], { env: state.env });
  const [shown] = document.guards[0].cgroups;
  assert.deepEqual([shown.mode, shown.requested_mode], [mode, mode]);
  assert.equal(shown.oom_killer_disabled, cgroup.version === 1 ? true : null);
  assert.equal(shown.under_oom, cgroup.version === 1 ? false : null);
  const high = cgroup.version === 1 ? null : Number(cgroup.read("memory.high"));
  assert.equal(shown.memory_high, high);
  assert.equal(shown.throttled, false);
  await guarded.stop();
});

kernelTest(
  "a cgroup near its memory.high is shown as throttled",
  async () => {
    await using cgroup = makeRealCgroup("status-high");
    cgroup.limit(LIMIT);
    using state = makeStateDirectory();
    const args = ["--mode", "throttle", ...WIDE, cgroup.path];
    await using guarded = await startGuarded(args, { stateDirectory: state.path });
    await using process = await startHungryProcess(cgroup);
    // memory.high is at 70 % of the limit; the kernel throttles from 62.5 % on.
    await process.feed(0.65 * LIMIT);
    const { stdout } = await runOomkit(["status"], { env: state.env });
    assert.match(stdout, /^\d.*%.* throttled .*\/oomkit-test-status-high/m);
    await guarded.stop();
  },
  { only: 2 },
);

anyVersionTest(
  "two guards are shown by their pids; one that is killed is not, and its socket is removed",
  async () => {
    await using one = makeRealCgroup("status-one");
    await using two = makeRealCgroup("status-two");
    for (const each of [one, two]) each.limit(LIMIT);
    using state = makeStateDirectory();
    const start = (path: string) => startGuarded([path], { stateDirectory: state.path });
    await using first = await start(one.path);
    await using second = await start(two.path);
    const shown = async (...args: string[]) => {
      const { code, document } = await statusJson(args, { env: state.env });
      return [code, ...document.guards.map(({ pid }: { pid: number }) => pid)];
    };
    const both = [first.pid, second.pid].toSorted((a, b) => a - b);
    assert.deepEqual(await shown(), [0, ...both]);
    assert.deepEqual(await shown(String(second.pid)), [0, second.pid]);
    assert.deepEqual(await shown(`pid:${first.pid}`, "1"), [1, first.pid]);

    Deno.kill(first.pid, "SIGKILL");
    await first.ended().catch(() => {});
    assert.deepEqual(await shown(), [0, second.pid]);
    await second.stop();
    assert.deepEqual(await shown(), [1]);
    const { code, stdout, stderr } = await runOomkit(["status"], { env: state.env });
    assert.deepEqual([code, stdout], [1, ""]);
    assert.equal(stderr, `oomkit: no guard runs: looked in ${state.path}\n`);

    await using third = await start(two.path);
    assert.deepEqual(socketsIn(state.path).map((name) => name.split("-")[1]), [`${third.pid}`]);
    await third.stop();
    assert.deepEqual(socketsIn(state.path), []);
  },
);

anyVersionTest(
  "another user may neither connect nor look, and status says so with exit 2",
  async () => {
    await using cgroup = makeRealCgroup("status-user");
    cgroup.limit(LIMIT);
    using state = makeStateDirectory();
    using program = await oomkitForAllUsers();
    await using guarded = await startGuarded([cgroup.path], { stateDirectory: state.path });
    const socket = `${state.path}/${socketsIn(state.path)[0]}`;
    const status = () =>
      runOomkit(["status"], {
        wrap: asUnprivilegedUser,
        program: program.program,
        env: { ...program.env, ...state.env },
      });
    const closed = await status();
    assert.deepEqual([closed.code, closed.stdout], [2, ""]);
    assert.match(
      closed.stderr,
      /^oomkit: cannot look for guards in \S+: it cannot be read; run as root$/m,
    );
    // Also where an administrator lets everyone look.
    Deno.chmodSync(state.path, 0o755);
    const open = await status();
    assert.deepEqual([open.code, open.stdout], [1, ""]);
    // To connect takes write permission: unix(7).
    const [command, ...words] = asUnprivilegedUser;
    const mayConnect = new Deno.Command(command, { args: [...words, "test", "-w", socket] });
    assert.equal(mayConnect.outputSync().code, 1);
    await guarded.stop();
  },
);

anyVersionTest("a status that is asked for again and again does not delay a kill", async () => {
  await using cgroup = makeRealCgroup("status-kill");
  cgroup.limit(LIMIT);
  using state = makeStateDirectory();
  await using guarded = await startGuarded(["--policy", "process", cgroup.path], {
    stateDirectory: state.path,
  });
  const path = `${state.path}/${socketsIn(state.path)[0]}`;
  let isKilled = false;
  const asking = Promise.all(Array.from({ length: 20 }, async () => {
    while (!isKilled) {
      using conn = await Deno.connect({ transport: "unix", path });
      await conn.read(new Uint8Array(65536));
    }
  }));
  const { pid } = await faultUntilKilled(cgroup);
  const kill = await guarded.next(isKillAction);
  isKilled = true;
  await asking;
  assert.deepEqual([kill.outcome, kill.victim.pid], ["killed", pid]);
  await guarded.stop();
});
