/** What the live view does with a terminal: sizes, job control, and how it is left. */

import assert from "node:assert/strict";
import { makeStateFolder } from "../helpers/guarded.ts";
import { eatToDeath, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { ended, has, isView, lastLine, program, told } from "../helpers/live_screen.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { AS_FOUND, openShell, openTmux, whyNoTmux } from "../helpers/tmux.ts";

const why = whyNoTmux();

kernelTest("every size is drawn anew, the smallest and the largest too", async () => {
  await using cgroup = makeRealCgroup("live");
  cgroup.limit(16 * MIB);
  using screen = openTmux(told(`watch ${cgroup.path}`));
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
}, { why });

kernelTest("Ctrl-Z gives the terminal back to the shell, fg draws everything anew", async () => {
  await using cgroup = makeRealCgroup("live");
  using screen = await openShell();
  screen.press(`${program} watch ${cgroup.path}`, "Enter");
  await screen.until(isView, "drew");
  screen.press("C-z");
  await screen.until((text) => text.includes("Stopped") && !isView(text), "stopped");
  assert.equal(screen.modes(), AS_FOUND);
  screen.press("stty -a | grep -o ' icanon'", "Enter");
  await screen.until((text) => /^ icanon$/m.test(text), "had the terminal as it was");
  screen.press("fg", "Enter");
  await screen.until(isView, "drew again");
  screen.press("q");
  await screen.until((text) => text.includes("summary") && !isView(text), "ended");
}, { why });

kernelTest("where no shell could let it go on, Ctrl-Z stops nothing", async () => {
  await using cgroup = makeRealCgroup("live");
  // Not as its own child, which tmux would let go on.
  using screen = openTmux(`setsid -c ${program} watch ${cgroup.path}; echo "ended $?"; cat`);
  await screen.until(isView, "drew");
  screen.press("C-z");
  screen.press("?");
  await screen.until(has("this help"), "took the next key");
  screen.press("q", "q");
  await screen.until(has("summary", "ended 0"), "ended");
}, { why });

kernelTest("a job in the background prints lines, and nothing stops it", async () => {
  await using cgroup = makeRealCgroup("live");
  cgroup.limit(16 * MIB);
  using screen = await openShell({ columns: 160 });
  screen.press(`${program} watch --until oom_kill ${cgroup.path} &`, "Enter");
  await screen.until(has("watching "), "began");
  await eatToDeath(cgroup);
  await screen.until(has("killed at its own limit", "summary"), "told in lines");
}, { why });

for (const signal of ["SIGTERM", "SIGHUP", "SIGQUIT"] as const) {
  kernelTest(`${signal} ends it with the terminal as it was`, async () => {
    await using cgroup = makeRealCgroup("live");
    using screen = openTmux(told(`watch ${cgroup.path}`));
    await screen.until(isView, "drew");
    const [child] = Deno.readTextFileSync(`/proc/${screen.pid}/task/${screen.pid}/children`).split(
      " ",
    );
    Deno.kill(Number(child), signal);
    await screen.until(has("summary", "ended 0 as it was"), "ended");
    assert.equal(screen.modes(), AS_FOUND);
  }, { why });
}

for (const command of ["watch", "guard"]) {
  kernelTest(`a terminal that is closed ends ${command} in peace`, async () => {
    await using cgroup = makeRealCgroup("live");
    using state = makeStateFolder();
    cgroup.limit(16 * MIB);
    const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    try {
      const run =
        `trap : HUP; ${program} ${command} ${cgroup.path} 2>${dir}/said; echo $? >${dir}/part; ` +
        `mv ${dir}/part ${dir}/code`;
      using screen = openTmux(run, { env: state.env });
      await screen.until(isView, "drew");
      screen.hangUp();
      await appeared(`${dir}/code`);
      assert.equal(
        Deno.readTextFileSync(`${dir}/code`),
        "0\n",
        Deno.readTextFileSync(`${dir}/said`),
      );
      assert.doesNotMatch(Deno.readTextFileSync(`${dir}/said`), /bug|cannot|rror/);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  }, { why });
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

const inLines: readonly (readonly [string, string, RegExp?])[] = [
  ["", "--no-live"],
  ["OOMKIT_NO_LIVE=1", ""],
  ["OOMKIT_LIVE=0", ""],
  ["TERM=dumb", "--live", /no live view: a terminal of the kind "dumb" has no cursor to move/],
  ["stty cols 0 rows 0;", "--live", /no live view: the terminal says that it is 0 × 0/],
  ["stty cols 0 rows 0;", ""],
  ["", "--json --live", /no live view: JSON is printed/],
];
kernelTest(
  "lines are printed where they are asked for, or nothing can be drawn, which is told",
  async () => {
    await using cgroup = makeRealCgroup("live");
    for (const [before, flags, said] of inLines) {
      using screen = openTmux(
        `${before} ${program} watch --for 300ms ${flags} ${cgroup.path}; echo "ended $?"; cat`,
      );
      const text = await screen.until(has("ended 0"), "ended");
      // busybox has an stty that cannot say it.
      if (text.includes("stty: number 0")) continue;
      const words = text.replaceAll("\n", " ");
      assert.match(words, said ?? /^watching/, `${before} ${flags}: ${text}`);
      assert.match(words, /summary/);
    }
  },
  { why },
);
