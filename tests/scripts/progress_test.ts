import assert from "node:assert/strict";
import { root } from "../../scripts/bundle.ts";
import { openSession, whyNoTerminal } from "../terminal_session.ts";

const compile = `${Deno.execPath()} run -A --quiet --no-check ${root}scripts/compile.ts`;

Deno.test({
  name: whyNoTerminal
    ? `a script tells a terminal what it is at (not run: ${whyNoTerminal})`
    : "a script tells a terminal what it is at, and leaves it as it was when it is interrupted",
  ignore: whyNoTerminal !== undefined,
  async fn() {
    await using session = await openSession({ columns: 60, rows: 20 });
    const env = "NO_COLOR=1 CI=";
    await session.type(`${env} ${compile} --denort=npm --output $DIR/oomkit`, "Enter");
    await session.until(/^compile: [^\n]*, \d of 4, \d+ s$/m, 60_000);
    await session.type("C-c");
    const text = await session.until(/\^C?\n?.*^\$ ?$|^\$ $|^\$$/m);
    assert.doesNotMatch(text, /of 4, \d+ s/);
    assert.deepEqual(await session.modes(), { cursor: true, alternate: false, wrap: true });
  },
});

Deno.test("in a pipe a script prints no more than its remarks", async () => {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `
      import { progress } from "${root}scripts/progress.ts";
      import { note } from "${root}scripts/terminal.ts";
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
