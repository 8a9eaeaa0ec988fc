/** The live view of the real program in a real terminal, on each kernel. */

import assert from "node:assert/strict";
import { makeStateDirectory } from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { allocateUntilKilled, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { ended, has, isView, percentOf, withStatus } from "../helpers/live_screen.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { openTmux, whyNoTmux } from "../helpers/tmux.ts";

const skipReason = whyNoTmux();

kernelTest(
  "watch draws each cgroup; keys filter, sort, open, pause and quit it; the summary is printed",
  async () => {
    await using cgroup = makeRealCgroup("live");
    const full = cgroup.child("full");
    full.limit(64 * MIB);
    cgroup.child("empty").limit(32 * MIB);
    cgroup.child("日本語");
    cgroup.child("evil\x1b[2Jname");
    await using hungry = await startHungryProcess(full);
    await hungry.feed(40 * MIB);
    using screen = openTmux(withStatus(`watch -r ${cgroup.path}`), { columns: 120 });

    const first = await screen.until(has("5 cgroups in ", " full ", "% "), "drew the cgroups");
    assert.match(first, /▸ full +4\d\.\dM +64\.0M +6\d% .* ok|▸ full .* warn/);
    assert.match(first, /memory available \d.* PSI|since boot: kernel \d+, whole machine/);
    assert.match(first, /日本語 /);
    assert.ok(first.includes("evil\\x1b[2Jname"), first);
    assert.match(first, /^watching /m);

    screen.press("\\", "emp");
    await screen.until(has("1 of 5 cgroups", "\\emp"), "filtered as it was typed");
    screen.press("Escape");
    await screen.until(has("· 5 cgroups"), "restored the filter");
    screen.press("s");
    await screen.until(has("by headroom"), "sorted differently");
    screen.press("N", "t");
    await screen.until(has("by name, tree", "├─ empty", "└─ "), "showed a tree");
    screen.press("/", "日本", "Enter");
    await screen.until((text) => /▸ [└├]─ 日本語/.test(text), "found it");
    screen.press("t", "\\", "full", "Enter");
    await screen.until(has('filter "full"'), "kept the filter");
    screen.press("Enter");
    await screen.until(
      has("VICTIM ORDER", "COMMAND", "tail -c", "3 min ago"),
      "showed what inspect does",
    );
    await hungry.feed(10 * MIB);
    screen.press("G");
    await screen.until((text) => /usage +5\d\.\d MiB/.test(text), "followed the usage");
    screen.press("Escape");
    await screen.until(isView, "went back");
    screen.press("Space");
    const paused = await screen.until(has("PAUSED"), "paused");
    await hungry.feed(6 * MIB);
    screen.press("?");
    await screen.until(has("this help"), "showed the help");
    screen.press("?");
    assert.equal(await screen.until(isView, "came back"), paused, "nothing has changed");
    screen.press("Enter");
    await screen.until(has("COMMAND", "PAUSED"), "read the details once");
    screen.press("Escape");
    await screen.until(isView, "went back");
    screen.press("Space");
    await screen.until(
      (text) => !text.includes("PAUSED") && percentOf(text) > percentOf(paused),
      "continued",
    );
    screen.press("q");
    const after = await screen.until(ended(0), "ended");
    assert.match(after, /summary .*watched for/);
    assert.ok(!after.includes("? help"), after);
  },
  { why: skipReason },
);

kernelTest("a kill is logged below the rows and counted in its row", async () => {
  await using cgroup = makeRealCgroup("live");
  cgroup.limit(16 * MIB);
  using screen = openTmux(withStatus(`watch ${cgroup.path}`), { columns: 160 });
  await screen.until(isView, "drew");
  await allocateUntilKilled(cgroup);
  await screen.until(
    (text) =>
      /oom_kill .*killed at the cgroup's own limit/.test(text) &&
      /kills since \S+ kernel 1/.test(text) && /^▸ .* 1 \S+$/m.test(text),
    "logged and counted the kill",
  );
  screen.press("C-c");
  await screen.until(has("summary", "oom_kill 1", "ended 0 restored"), "ended");
}, { why: skipReason });

kernelTest(
  "guard draws its levels, logs its actions, and restores the terminal at the end",
  async () => {
    await using cgroup = makeRealCgroup("live");
    using state = makeStateDirectory();
    cgroup.limit(64 * MIB);
    await using hungry = await startHungryProcess(cgroup);
    using screen = openTmux(withStatus(`guard --policy process ${cgroup.path}`), {
      columns: 160,
      env: state.env,
    });
    const first = await screen.until(has("armed ", "CGROUP", "┃"), "guarded");
    assert.match(first, /oomkit guard · policy process · [a-z-]+ · 1 cgroup /);
    await hungry.feed(45 * MIB);
    await screen.until(has("level", "warn: usage"), "logged the first level");
    await hungry.feed(30 * MIB).catch(() => {});
    await hungry.status;
    await screen.until((text) => /action .*killed by SIGKILL/.test(text), "logged the action");
    await screen.until((text) => /kills since \S+ guard 1, kernel 0/.test(text), "counted it");
    screen.press("Escape", "q");
    await screen.until(has("End the guard?"), "asked");
    screen.press("n");
    await screen.until(has("? help"), "went on");
    screen.press("q", "y");
    await screen.until(has("summary", "ended 0 restored"), "ended");
  },
  { why: skipReason },
);
