/** `simulate` in a real terminal. */

import assert from "node:assert/strict";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { delay } from "../../core/timing.ts";
import { kernelTest } from "../helpers/kernel_cases.ts";
import { oomkit } from "../helpers/run_oomkit.ts";
import { DEFAULT_MODES, openShell, type TerminalScreen, whyNoTmux } from "../helpers/tmux.ts";

const program = oomkit().map((word) => `'${word}'`).join(" ");
const simulate = (options: string) => `${program} simulate ${options}`;
const why = whyNoTmux();

const inTerminal = (name: string, run: () => Promise<void>) => kernelTest(name, run, { why });

/** Runs a line of shell; its exit status appears on the screen as `status N`. */
const start = (screen: TerminalScreen, line: string) =>
  screen.press(`stty -g >$DIR/stty; ${line}; echo status $?`, "Enter");

const percent = (text: string) => Number(/ (\d+)%/.exec(text)?.[1]);

async function gone(cgroup: string): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (openCgroup(discover(), cgroup) !== undefined) {
    assert.ok(performance.now() < deadline, `${cgroup} is still there`);
    await delay(20);
  }
}

const cgroupOn = (text: string) => {
  const found = /^ +(\/\S*oomkit-sim-\S+)$/m.exec(text)?.[1];
  assert.ok(found, text);
  return found;
};

inTerminal(
  "a fast run is replayed slower, shows the kill and what to try next, and exits with 0",
  async () => {
    using screen = await openShell({ columns: 140, rows: 60 });
    start(screen, simulate("--mb 20"));
    await screen.until(/shown \d+ times slower/);
    const text = await screen.until(/^status \d/m);
    assert.match(text, /^status 0/m);
    assert.match(text, /a real OOM, on purpose/);
    assert.match(text, /^20\.0 MiB ┤━+✕/m);
    assert.match(text, /^ +90% ┤╌*[▁-█]/m);
    assert.match(text, /▲ OOM kill|OOM kill ▲/);
    assert.match(text, /^✔ the kernel's OOM killer killed pid \d+ with SIGKILL$/m);
    assert.match(text, /^ {2}sources .*agree: 1 kill$/m);
    assert.match(text, /^ {2}\S*oomkit simulate --mb 20 --rate 4M\/s$/m);
    assert.doesNotMatch(text, /times slower/, "the bar is gone");
    assert.equal(screen.modes(), DEFAULT_MODES);
    await gone(cgroupOn(text));
  },
);

inTerminal(
  "the bar follows a slow run, also in a smaller terminal, until Ctrl-C ends it",
  async () => {
    using screen = await openShell({ columns: 140, rows: 40 });
    start(screen, simulate("--mb 20 --rate 1M/s"));
    const first = await screen.until(/growing · .*full in/);
    const cgroup = cgroupOn(first);
    assert.ok(openCgroup(discover(), cgroup));
    await screen.until((text) => percent(text) > percent(first));
    screen.resize(50, 12);
    await screen.until((text) =>
      /^ {2}[█░┆┇]+ +\d+%$/m.test(text) && /\ngrowing|\n {2}growing/.test(text)
    );
    const narrow = percent(screen.lines().findLast((line) => /%$/.test(line))!);
    await screen.until((text) =>
      percent(text.split("\n").findLast((line) => /%$/.test(line))!) > narrow
    );
    screen.press("C-c");
    await screen.until(/^status 1/m);
    assert.equal(screen.modes(), DEFAULT_MODES);
    await gone(cgroup);
    screen.press("stty -g | cmp - $DIR/stty && echo same", "Enter");
    await screen.until(/^same$/m);
  },
);

inTerminal("after Ctrl-Z and fg it continues below the output of the shell", async () => {
  using screen = await openShell({ columns: 140, rows: 40 });
  start(screen, simulate("--mb 20 --rate 100K/s --for 10m"));
  const cgroup = cgroupOn(await screen.until(/growing · .*full in/));
  screen.press("C-z");
  await screen.until(/Stopped/);
  assert.equal(screen.modes(), DEFAULT_MODES);
  screen.press("fg", "Enter");
  const text = await screen.until(/^\$ fg\n[\s\S]*growing · .*full in/m);
  assert.equal(text.split("Stopped")[1]!.match(/growing/g)?.length, 1, text);
  screen.press("C-c");
  await screen.until(/^\$ ?$/m);
  await gone(cgroup);
});

inTerminal("in a locale without UTF-8 the output is plain ASCII", async () => {
  using screen = await openShell({ columns: 80, rows: 60, env: { LC_ALL: "C" } });
  start(screen, simulate("--mb 20"));
  const text = await screen.until(/^status \d/m);
  assert.match(text, /^20\.0 MiB \|=+X/m);
  assert.match(text, /^\+ the kernel's OOM killer killed/m);
  // deno-lint-ignore no-control-regex
  assert.match(text, /^[\x00-\x7f]*$/);
});

inTerminal(
  "--no-live prints the same lines as in a pipe, and --no-plot omits the plot",
  async () => {
    using screen = await openShell({ columns: 140, rows: 60 });
    start(screen, simulate("--mb 20 --no-live"));
    const lines = await screen.until(/^status \d/m);
    assert.match(lines, /^simulate {2}a real OOM in a cgroup of its own/m);
    assert.match(lines, /^verdict {3}the kernel's OOM killer/m);
    assert.doesNotMatch(lines, /try next|┤/);
    screen.press("clear", "Enter");
    start(screen, simulate("--mb 20 --no-plot"));
    // On a busy machine the first status is still on the screen.
    const live = await screen.until(/try next[^]*^status \d/m);
    assert.doesNotMatch(live, /┤/);
  },
);

inTerminal("closing the terminal ends the run, and nothing is left behind", async () => {
  using screen = await openShell({ columns: 140, rows: 40 });
  start(screen, simulate("--mb 20 --rate 1M/s"));
  const cgroup = cgroupOn(await screen.until(/growing · .*full in/));
  screen.hangUp();
  await gone(cgroup);
});
