import assert from "node:assert/strict";
import { readCandidate } from "../../../../core/cgroup/processes.ts";
import { versionOf } from "../../../../core/cgroup/versions.ts";
import { SuspensionLog } from "../../../../core/control/journal.ts";
import type { CgroupState } from "../../../../core/guard/thread/cgroup_state.ts";
import { OomKillerSwitch } from "../../../../core/guard/thread/oom_killer_switch.ts";
import type { VictimSelection } from "../../../../core/guard/thread/victim_selection.ts";
import { libc } from "../../../../core/kernel/libc.ts";
import { PEAK_RATE_MS } from "../../../../core/policy/usage_trend.ts";

// Stays loaded; within a test that would count as a leak.
libc();

const FILE = "memory.oom_control";
const LIMIT = 1000;

/** A cgroup near its limit. @param selection what the selection at its first look finds. */
function near(selection: Partial<VictimSelection> = {}) {
  const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  // What is written replaces the first character.
  Deno.writeTextFileSync(`${dir}/${FILE}`, "-");
  const limitOwner = {
    dir,
    path: "/",
    inode: Deno.statSync(dir).ino!,
    hierarchy: { version: versionOf(1), mount: dir, nested: [], root: "/" },
  };
  const state = {
    id: 1,
    limitOwner,
    files: {},
    settings: { limit: LIMIT, levelBytes: { critical: 900 } },
    decision: {},
    schedule: { farSince: undefined },
    memory: { usage: 950, peakRate: 0, peakRateAt: -Infinity },
    hold: { isDisabled: false, isLeftToKernel: false, until: 0, usage: 950, at: 0 },
    pinned: { selection: undefined as Partial<VictimSelection> | undefined },
  };
  const oomKiller = new OomKillerSwitch(new SuspensionLog(), () => {
    state.pinned.selection ??= selection;
  });
  return {
    state,
    look: (now: number) => oomKiller.update(state as unknown as CgroupState, now),
    written: () => Deno.readTextFileSync(`${dir}/${FILE}`),
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
}

const OUTSIDE = { pid: 1 } as NonNullable<VictimSelection["outside"]>;
const exitingOutside = (pid: number) => ({ pid, rss: 1, isFreeing: true, isOutside: true });

Deno.test("near the limit the OOM killer is disabled, and enabled when that is over", () => {
  using one = near();
  one.look(1);
  assert.equal(one.written(), "1");
  one.state.memory.usage = 100;
  one.look(2);
  assert.equal(one.written(), "1");
  one.look(1 + PEAK_RATE_MS);
  assert.equal(one.written(), "0");
});

Deno.test("the OOM killer stays enabled where it would kill a process that is not guarded", () => {
  using one = near({ outside: OUTSIDE });
  one.look(1);
  assert.equal(one.written(), "-");
  one.state.pinned.selection = {};
  one.look(2);
  assert.equal(one.written(), "1");
  one.state.pinned.selection = { outside: OUTSIDE };
  one.look(3);
  assert.equal(one.written(), "0");
});

Deno.test("the OOM killer is disabled once a process that was exiting is gone", async () => {
  const child = new Deno.Command("true").spawn();
  await child.status;
  using one = near({ exiting: exitingOutside(child.pid) });
  one.look(1);
  assert.equal(one.written(), "1");
});

/** Shows no resident memory, like a process that frees its memory. In a container there is none. */
const KERNEL_THREAD = 2;
const isSeen = readCandidate(KERNEL_THREAD, "", false)?.isExiting === true;

Deno.test({
  name: "the OOM killer stays enabled while a process that is not guarded exits",
  ignore: !isSeen,
  fn() {
    using one = near({ exiting: exitingOutside(KERNEL_THREAD) });
    one.look(1);
    assert.equal(one.written(), "-");
  },
});
