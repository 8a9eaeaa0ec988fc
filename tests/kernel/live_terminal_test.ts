/** The live view and its terminal: sizes, job control, restored settings. */

import assert from "node:assert/strict";
import { makeStateDirectory } from "../helpers/guarded.ts";
import { allocateUntilKilled, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { ended, has, isView, lastLine, program, withStatus } from "../helpers/live_screen.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { DEFAULT_MODES, openShell, openTmux, whyNoTmux } from "../helpers/tmux.ts";

const skipReason = whyNoTmux();

kernelTest("a resize redraws the screen, from the smallest to the largest size", async () => {
  await using cgroup = makeRealCgroup("live");
  cgroup.limit(16 * MIB);
  using screen = openTmux(withStatus(`watch ${cgroup.path}`));
  await screen.until(isView, "drew");
  for (const [columns, rows] of [[40, 10], [300, 100], [12, 3], [80, 24]] as const) {
    screen.resize(columns, rows);
    await screen.until(
      (text) =>
        columns < 20
          ? text.startsWith("oomkit: 1 c…")
          : isView(text) && text.split("\n").length === rows,
      `drew ${columns} × ${rows}`,
    );
    if (columns < 20) continue;
    assert.match(lastLine(screen), /^\? help/);
    assert.equal(screen.lines().filter((line) => line.includes("? help")).length, 1);
  }
  screen.press("q");
  await screen.until(ended(0), "ended");
}, { why: skipReason });

kernelTest("Ctrl-Z restores the terminal for the shell, and fg redraws the screen", async () => {
  await using cgroup = makeRealCgroup("live");
  using screen = await openShell();
  screen.press(`${program} watch ${cgroup.path}`, "Enter");
  await screen.until(isView, "drew");
  screen.press("C-z");
  await screen.until((text) => text.includes("Stopped") && !isView(text), "stopped");
  assert.equal(screen.modes(), DEFAULT_MODES);
  screen.press("stty -a | grep -o ' icanon'", "Enter");
  await screen.until((text) => /^ icanon$/m.test(text), "had the terminal restored");
  screen.press("fg", "Enter");
  await screen.until(isView, "drew again");
  screen.press("q");
  await screen.until((text) => text.includes("summary") && !isView(text), "ended");
}, { why: skipReason });

kernelTest("Ctrl-Z does nothing without a shell that can resume the view", async () => {
  await using cgroup = makeRealCgroup("live");
  // setsid: as a child of tmux the view would be resumed by tmux.
  using screen = openTmux(`setsid -c ${program} watch ${cgroup.path}; echo "ended $?"; cat`);
  await screen.until(isView, "drew");
  screen.press("C-z");
  screen.press("?");
  await screen.until(has("this help"), "took the next key");
  screen.press("q", "q");
  await screen.until(has("summary", "ended 0"), "ended");
}, { why: skipReason });

kernelTest("a background job prints lines and is not stopped", async () => {
  await using cgroup = makeRealCgroup("live");
  cgroup.limit(16 * MIB);
  using screen = await openShell({ columns: 160 });
  screen.press(`${program} watch --until oom_kill ${cgroup.path} &`, "Enter");
  await screen.until(has("watching "), "began");
  await allocateUntilKilled(cgroup);
  await screen.until(has("killed at the cgroup's own limit", "summary"), "printed lines");
}, { why: skipReason });

for (const signal of ["SIGTERM", "SIGHUP", "SIGQUIT"] as const) {
  kernelTest(`${signal} ends the view and restores the terminal`, async () => {
    await using cgroup = makeRealCgroup("live");
    using screen = openTmux(withStatus(`watch ${cgroup.path}`));
    await screen.until(isView, "drew");
    const [child] = Deno.readTextFileSync(`/proc/${screen.pid}/task/${screen.pid}/children`).split(
      " ",
    );
    Deno.kill(Number(child), signal);
    await screen.until(has("summary", "ended 0 restored"), "ended");
    assert.equal(screen.modes(), DEFAULT_MODES);
  }, { why: skipReason });
}

for (const command of ["watch", "guard"]) {
  kernelTest(`a closed terminal ends ${command} without an error`, async () => {
    await using cgroup = makeRealCgroup("live");
    using state = makeStateDirectory();
    cgroup.limit(16 * MIB);
    const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    try {
      const run =
        `trap : HUP; ${program} ${command} ${cgroup.path} 2>${dir}/stderr; echo $? >${dir}/part; ` +
        `mv ${dir}/part ${dir}/code`;
      using screen = openTmux(run, { env: state.env });
      await screen.until(isView, "drew");
      screen.hangUp();
      await appeared(`${dir}/code`);
      assert.equal(
        Deno.readTextFileSync(`${dir}/code`),
        "0\n",
        Deno.readTextFileSync(`${dir}/stderr`),
      );
      assert.doesNotMatch(Deno.readTextFileSync(`${dir}/stderr`), /bug|cannot|rror/);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  }, { why: skipReason });
}

async function appeared(path: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    try {
      return void Deno.statSync(path);
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const linesCases: readonly (readonly [string, string, RegExp?])[] = [
  ["", "--no-live"],
  ["OOMKIT_NO_LIVE=1", ""],
  ["OOMKIT_LIVE=0", ""],
  ["TERM=dumb", "--live", /no live view: TERM is "dumb", a terminal without cursor movement/],
  ["stty cols 0 rows 0;", "--live", /no live view: the terminal reports a size of 0 × 0/],
  ["stty cols 0 rows 0;", ""],
  ["", "--json --live", /no live view: the output is JSON/],
];
kernelTest(
  "lines are printed if requested or if nothing can be drawn, with the reason",
  async () => {
    await using cgroup = makeRealCgroup("live");
    for (const [before, flags, expected] of linesCases) {
      using screen = openTmux(
        `${before} ${program} watch --for 300ms ${flags} ${cgroup.path}; echo "ended $?"; cat`,
      );
      const text = await screen.until(has("ended 0"), "ended");
      // The stty of busybox cannot set a size of 0.
      if (text.includes("stty: number 0")) continue;
      const words = text.replaceAll("\n", " ");
      assert.match(words, expected ?? /^watching/, `${before} ${flags}: ${text}`);
      assert.match(words, /summary/);
    }
  },
  { why: skipReason },
);
