/** Of the executable that OOMKIT_BIN names. */

import assert from "node:assert/strict";
import { runOomkit } from "../helpers/run_oomkit.ts";

const program = Deno.env.get("OOMKIT_BIN");

if (program !== undefined) {
  Deno.test("the executable prints commands with the name by which it was called", async () => {
    const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    try {
      Deno.symlinkSync(Deno.realPathSync(program), `${directory}/oom`);
      const called = `${directory}/oom`;
      const { stderr } = await runOomkit(["--json", "watch"], { program: [called] });
      assert.ok(stderr.endsWith(`; write: ${called} watch --json\n`), stderr);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  });
}
