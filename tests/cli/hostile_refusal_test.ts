/** An error may quote a name that another user chose: its control characters must not reach the terminal. */

import assert from "node:assert/strict";
import { runOomkit } from "../helpers/run_oomkit.ts";
import { makeTree } from "../helpers/trees.ts";

const HOSTILE = "/ab\x07\x1bcdefgh";

Deno.test("a suggested cgroup name is printed with its control characters escaped", async () => {
  using tree = makeTree(2, { [HOSTILE]: {} });
  for (const command of ["inspect", "watch", "guard"]) {
    const { code, stderr } = await runOomkit([command, "--root", tree.dir, "/abcdefgh"]);
    assert.equal(code, 2, command);
    assert.match(stderr, /^oomkit: [^\n]*did you mean \/ab\\x07\\x1bcdefgh\?\n$/, command);
  }
});

Deno.test("a refused value is printed on one line, whatever it contains", async () => {
  for (const option of ["--for", "--config", "--root"]) {
    const { code, stderr } = await runOomkit(["watch", option, "/z\x1b[2J\nx"]);
    assert.equal(code, 2, option);
    // deno-lint-ignore no-control-regex
    assert.match(stderr, /^oomkit: [^\n\x1b]*\/z\\x1b\[2J[^\n\x1b]+\n$/, option);
  }
});
