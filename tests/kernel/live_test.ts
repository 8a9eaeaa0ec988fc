/** The live view of the real program in a real terminal. */

import assert from "node:assert/strict";
import { makeStateFolder } from "../guarded.ts";
import { startHungryProcess } from "../hungry_process.ts";
import { eatToDeath, kernelTest, MIB } from "../kernel_cases.ts";
import { makeRealCgroup } from "../real_cgroup.ts";
import { oomkit } from "../run_oomkit.ts";
import { AS_FOUND, openTmux, type TerminalScreen, whyNoTmux } from "../tmux.ts";

const why = whyNoTmux();
const program = oomkit().map((word) => `'${word}'`).join(" ");

/** A shell that tells how the program ended, and whether it left the terminal as it was. */
const told = (args: string) =>
  `before=$(stty -g); ${program} ${args}; code=$?; ` +
  `[ "$(stty -g)" = "$before" ] && echo "ended $code as it was" || echo "ended $code, changed"; cat`;

const ended = (code: number) => (text: string) => text.includes(`ended ${code} as it was`);
const has = (...parts: string[]) => (text: string) => parts.every((part) => text.includes(part));
const isView = has("CGROUP", "? help");
/** Of the first row that has one. */
const percentOf = (text: string) => Number(/ (\d+)%/.exec(text)?.[1]);
const lastLine = (screen: TerminalScreen) => screen.lines().findLast((line) => line !== "") ?? "";

kernelTest(
  "watch draws each cgroup; keys filter, sort, open, pause and end it, and lines tell the sum",
  async () => {
    await using cgroup = makeRealCgroup("live");
    const full = cgroup.child("full");
    full.limit(64 * MIB);
    cgroup.child("empty").limit(32 * MIB);
    cgroup.child("日本語");
    cgroup.child("evil\x1b[2Jname");
    await using hungry = await startHungryProcess(full);
    await hungry.feed(40 * MIB);
    using screen = openTmux(told(`watch -r ${cgroup.path}`), { columns: 120 });

    const first = await screen.until(has("5 cgroups", "/full", "% "), "drew the cgroups");
    assert.match(first, /▸ \S*\/full +█+[▒█]*░+ +6\d% .* ok|▸ \S*\/full .* warn/);
    assert.match(first, /日本語 /);
    assert.ok(first.includes("evil\\x1b[2Jname"), first);
    assert.match(first, /oomkit says: watching/);

    screen.press("/", "emp");
    await screen.until(has("1 of 5 cgroups", "/emp_".slice(0, 4)), "filtered as it was typed");
    screen.press("Escape");
    await screen.until(has("· 5 cgroups"), "dropped the filter");
    screen.press("s");
    await screen.until(has("least left"), "sorted otherwise");
    screen.press("/", "full", "Enter");
    await screen.until(has('filter "full"'), "kept the filter");
    screen.press("Enter");
    await screen.until(has("working set", "COMMAND", "tail -c"), "showed what inspect does");
    await hungry.feed(10 * MIB);
    await screen.until((text) => /usage +5\d\.\d MiB/.test(text), "moved with the usage");
    screen.press("Escape");
    await screen.until(isView, "went back");
    screen.press("Space");
    const paused = await screen.until(has("PAUSED"), "stood still");
    await hungry.feed(6 * MIB);
    screen.press("?");
    await screen.until(has("this help"), "showed the help");
    screen.press("?");
    assert.equal(await screen.until(isView, "came back"), paused, "nothing has moved");
    screen.press("Space");
    await screen.until(
      (text) => !text.includes("PAUSED") && percentOf(text) > percentOf(paused),
      "went on",
    );
    screen.press("q");
    const after = await screen.until(ended(0), "ended");
    assert.match(after, /summary .*watched for/);
    assert.ok(!after.includes("? help"), after);
  },
  { why },
);

kernelTest("a kill is told beneath the rows and counted in its own", async () => {
  await using cgroup = makeRealCgroup("live");
  cgroup.limit(16 * MIB);
  using screen = openTmux(told(`watch ${cgroup.path}`), { columns: 160 });
  await screen.until(isView, "drew");
  await eatToDeath(cgroup);
  await screen.until(
    (text) => /oom_kill .*killed at its own limit/.test(text) && /\/1\/0 /.test(text),
    "told of the kill",
  );
  screen.press("C-c");
  await screen.until(has("summary", "oom_kill 1", "ended 0 as it was"), "ended");
}, { why });

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
          ? text.startsWith("oomkit: 1 cg")
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

kernelTest("guard draws its levels, tells what it does, and puts all back as it ends", async () => {
  await using cgroup = makeRealCgroup("live");
  using state = makeStateFolder();
  cgroup.limit(64 * MIB);
  await using hungry = await startHungryProcess(cgroup);
  using screen = openTmux(told(`guard --policy process ${cgroup.path}`), {
    columns: 160,
    env: state.env,
  });
  const first = await screen.until(has("guarding", "CGROUP", "┃"), "guarded");
  assert.match(first, /oomkit guard · 1 cgroup /);
  await hungry.feed(45 * MIB);
  await screen.until(has("level", "warn: usage"), "told of the first level");
  await hungry.feed(30 * MIB).catch(() => {});
  await hungry.status;
  await screen.until((text) => /action .*ended by SIGKILL/.test(text), "told what it did");
  await screen.until((text) => /\/0\/1 /.test(text), "counted it");
  screen.press("C-c");
  await screen.until(has("summary", "ended 0 as it was"), "ended");
}, { why });

kernelTest("Ctrl-Z gives the terminal back to the shell, fg draws everything anew", async () => {
  await using cgroup = makeRealCgroup("live");
  using screen = openTmux("exec sh -i", { env: { PS1: "$ " } });
  await screen.until(has("$"), "was there");
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

kernelTest("a job in the background prints lines, and nothing stops it", async () => {
  await using cgroup = makeRealCgroup("live");
  cgroup.limit(16 * MIB);
  using screen = openTmux("exec sh -i", { columns: 160, env: { PS1: "$ " } });
  await screen.until(has("$"), "was there");
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
