import assert from "node:assert/strict";
import { root } from "../../scripts/command.ts";
import { DEFAULT_MODES, openShell, whyNoTmux } from "../helpers/tmux.ts";

/** As slow as the test needs it, and otherwise as scripts are. */
const SCRIPT = `
  import { endWithProgress, note, progress, run } from "${root}scripts/terminal.ts";
  await run("slow", async () => {
    endWithProgress(() => Deno.removeSync(import.meta.dirname + "/made"));
    Deno.writeTextFileSync(import.meta.dirname + "/made", "");
    note("slow: begins");
    progress.show("slow: at work", 1, 4);
    await new Promise((resolve) => setTimeout(resolve, 600_000));
    return 0;
  });
`;

const missing = whyNoTmux();
const why = missing === undefined ? "" : ` (not run: ${missing})`;

Deno.test({
  name: `a script shows its progress on a terminal, and removes it when interrupted${why}`,
  ignore: missing !== undefined,
  async fn() {
    const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    try {
      Deno.writeTextFileSync(`${directory}/slow.ts`, SCRIPT);
      using screen = await openShell({ columns: 60, rows: 20, env: { CI: "" } });
      const config = `-c ${root}deno.json`;
      screen.press(
        `${Deno.execPath()} run -A --no-check ${config} ${directory}/slow.ts`,
        "Enter",
      );
      await screen.until(/^slow: begins\nslow: at work, 1 of 4, \d s$/m);
      screen.press("C-c");
      const text = await screen.until(/\n\$ *\n*$/);
      assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name), ["slow.ts"]);
      assert.doesNotMatch(text, /at work/);
      assert.equal(screen.modes(), DEFAULT_MODES);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
});

Deno.test("in a pipe a script prints only its remarks", async () => {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `
      import { note, progress } from "${root}scripts/terminal.ts";
      progress.show("one", 1, 2);
      note("remark");
      progress.end();
    `,
    ],
    env: { TERM: "xterm" },
  }).output();
  const text = new TextDecoder();
  assert.deepEqual([text.decode(stdout), text.decode(stderr)], ["", "remark\n"]);
});
