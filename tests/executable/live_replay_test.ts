/** A recording in the live view of the real program, in a real terminal: whole screens, which depend on no clock and no load. */

import assert from "node:assert/strict";
import { ended, has, program, withStatus } from "../helpers/live_screen.ts";
import { incidentText } from "../helpers/recorded_incident.ts";
import { openTmux, type TerminalScreen, whyNoTmux } from "../helpers/tmux.ts";

const skipReason = whyNoTmux();
const tmuxTest = (name: string, run: () => Promise<void>): void =>
  skipReason === undefined
    ? Deno.test(name, run)
    : Deno.test.ignore(`${name} [${skipReason}]`, run);
const directory = new URL("screens/", import.meta.url);

function openReplay(
  { columns, rows, env = {} }: {
    readonly columns: number;
    readonly rows: number;
    readonly env?: Record<string, string>;
  },
): { readonly screen: TerminalScreen; readonly file: Disposable } {
  const path = Deno.makeTempFileSync({ prefix: "oomkit-test-", suffix: ".jsonl" });
  Deno.writeTextFileSync(path, incidentText());
  const screen = openTmux(withStatus(`watch --replay ${path}`), {
    columns,
    rows,
    env: { TZ: "UTC", TERM: "xterm-256color", ...env },
  });
  return { screen, file: { [Symbol.dispose]: () => Deno.removeSync(path) } };
}

/** Keys, and what is on the screen when all of them were taken. */
type Steps = readonly (readonly [keys: readonly string[], shown: RegExp])[];

const START = /10:00:00\.000/;
const SECOND_KILL: Steps = [[["x"], /10:01:00\.000/], [["x"], /10:02:00\.000/]];

const screens: Readonly<
  Record<string, { readonly columns: number; readonly rows: number; readonly steps: Steps }>
> = {
  "start-80x24": { columns: 80, rows: 24, steps: [] },
  "kill-80x24": { columns: 80, rows: 24, steps: SECOND_KILL },
  "tree-120x40": { columns: 120, rows: 40, steps: [...SECOND_KILL, [["t"], /tree/]] },
  "kill-200x50": { columns: 200, rows: 50, steps: SECOND_KILL },
  "details-120x40": {
    columns: 120,
    rows: 40,
    steps: [...SECOND_KILL, [["Enter"], /esc back/]],
  },
  "kill-40x10": { columns: 40, rows: 10, steps: SECOND_KILL },
};

for (const [name, { columns, rows, steps }] of Object.entries(screens)) {
  tmuxTest(`the screen of a replay matches screens/${name}.txt`, async () => {
    const { screen, file } = openReplay({ columns, rows });
    using _file = file;
    using _screen = screen;
    await screen.until(START, "drew the start");
    for (const [keys, shown] of steps) {
      screen.press(...keys);
      await screen.until(shown, `showed ${shown}`);
    }
    const text = screen.lines().map((line) => line.trimEnd()).join("\n") + "\n";
    const path = new URL(`${name}.txt`, directory);
    if (Deno.env.get("WRITE_SCREENS")) Deno.writeTextFileSync(path, text);
    assert.equal(text, Deno.readTextFileSync(path));
  });
}

tmuxTest(
  "without colours, and without UTF-8, a replay has the same figures in ASCII",
  async () => {
    const { screen, file } = openReplay({
      columns: 80,
      rows: 24,
      env: { NO_COLOR: "1", LC_ALL: "C" },
    });
    using _file = file;
    using _screen = screen;
    await screen.until(START, "drew the start");
    screen.press("x");
    const text = await screen.until(/10:01:00\.000/, "went to the first kill");
    // deno-lint-ignore no-control-regex
    assert.match(text, /^[\x00-\x7f]*$/);
    assert.match(text, /^> batch /m);
    // The whole row is reversed: SGR 7 has no colour.
    // deno-lint-ignore no-control-regex
    assert.match(screen.styled(), /7m(?:\x1b\[39m\x1b\[49m)?> batch /);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(screen.styled(), /\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d)[;m]/);
  },
);

tmuxTest("a replay plays, pauses at its end, and quits with the terminal restored", async () => {
  const { screen, file } = openReplay({ columns: 100, rows: 24 });
  using _file = file;
  using _screen = screen;
  await screen.until(START, "drew the start");
  screen.press("]", "]", "]", ",", ..."+".repeat(6), "Space");
  await screen.until(has("PAUSED", "10:03:00.000"), "played to the end");
  screen.press("Escape", "q");
  await screen.until(ended(0), "quit without a question: nothing is guarded");
});

const refused: readonly (readonly [args: string, expected: RegExp])[] = [
  ["watch --replay FILE /a", /cannot use the target \/a with --replay/],
  ["watch --replay FILE --for 5s", /cannot use --for with --replay/],
  ["watch --replay FILE -- true", /cannot use --replay with a command: the command runs now/],
  [
    "watch --replay FILE >out; cat out",
    /cannot scroll through \S+: stdout is not a terminal; print it as text: \S+ inspect/,
  ],
  ["watch --replay /proc/self/status", /cannot read \/proc\/self\/status/],
];
tmuxTest("a replay refuses what it cannot do, and says what to do", async () => {
  const path = Deno.makeTempFileSync({ prefix: "oomkit-test-" });
  try {
    Deno.writeTextFileSync(path, incidentText());
    for (const [args, expected] of refused) {
      const command = `cd $DIR; ${program} ${args.replace("FILE", path)}; echo "ended"; cat`;
      using screen = openTmux(command, { columns: 160 });
      assert.match((await screen.until(/^ended/m, "ended")).replaceAll("\n", ""), expected);
    }
  } finally {
    Deno.removeSync(path);
  }
});
