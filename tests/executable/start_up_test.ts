/** Of the executable that OOMKIT_BIN names, against an empty program on the same runtime base. */

import assert from "node:assert/strict";
import { makeEmptyProgram, measureInTurn, versionOf } from "../../scripts/bench/start_up.ts";
import { makeTree } from "../helpers/trees.ts";

/** Noise only ever adds to the fastest of so many runs; on a busy machine it takes more of them to have one without. */
const RUNS = 60;
const MAX_ROUNDS = 6;

const program = Deno.env.get("OOMKIT_BIN");

if (program !== undefined) {
  Deno.test("--version starts within 1.5 times, inspect within twice of what nothing takes", async () => {
    const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    try {
      using tree = makeTree(2, { "/pod": { "memory.max": 1000 }, "/pod/c": {} });
      const programs = {
        empty: [await makeEmptyProgram(`${dir}/empty`, versionOf(program))],
        version: [program, "--version"],
        inspect: [program, "inspect", "--root", tree.dir, "/pod/c"],
      };
      const fastest = { empty: Infinity, version: Infinity, inspect: Infinity };
      let ratios = { version: Infinity, inspect: Infinity };
      const isFast = () => ratios.version <= 1.5 && ratios.inspect <= 2;
      for (let round = 0; round < MAX_ROUNDS && !isFast(); round++) {
        const times = await measureInTurn(programs, RUNS);
        for (const name of ["empty", "version", "inspect"] as const) {
          fastest[name] = Math.min(fastest[name], ...times[name]);
        }
        ratios = {
          version: fastest.version / fastest.empty,
          inspect: fastest.inspect / fastest.empty,
        };
      }
      assert.ok(isFast(), JSON.stringify(ratios));
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  });
}
