/** Of the executable that OOMKIT_BIN names, against an empty program on the same runtime base. */

import assert from "node:assert/strict";
import { makeEmptyProgram, measureInTurn, versionOf } from "../../scripts/bench/start_up.ts";
import { makeTree } from "../helpers/trees.ts";

/** Noise only ever adds to the fastest of so many runs. */
const RUNS = 60;

const program = Deno.env.get("OOMKIT_BIN");

if (program !== undefined) {
  Deno.test("--version starts within 1.5 times, inspect within twice of what nothing takes", async () => {
    const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    try {
      using tree = makeTree(2, { "/pod": { "memory.max": 1000 }, "/pod/c": {} });
      const times = await measureInTurn({
        empty: [await makeEmptyProgram(`${dir}/empty`, versionOf(program))],
        version: [program, "--version"],
        inspect: [program, "inspect", "--root", tree.dir, "/pod/c"],
      }, RUNS);
      const empty = Math.min(...times.empty);
      const ratios = {
        version: Math.min(...times.version) / empty,
        inspect: Math.min(...times.inspect) / empty,
      };
      assert.ok(ratios.version <= 1.5 && ratios.inspect <= 2, JSON.stringify(ratios));
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  });
}
