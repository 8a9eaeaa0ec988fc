/** Of the executable that OOMKIT_BIN names, against an empty program on the same runtime base. */

import assert from "node:assert/strict";
import { makeEmptyProgram, measureInTurn, versionOf } from "../../scripts/bench/start_up.ts";
import { makeTree } from "../helpers/trees.ts";

/**
 * Noise only ever adds to the fastest of so many runs; on a busy machine it takes more of them to have one without. What takes twice as
 * long has it more often, so `inspect` is compared with two runs of the empty program, one after the other.
 */
const RUNS = 60;
const MAX_ROUNDS = 6;

const program = Deno.env.get("OOMKIT_BIN");

if (program !== undefined) {
  Deno.test("--version starts within 1.5 times, inspect within twice of what nothing takes", async () => {
    const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    try {
      using tree = makeTree(2, { "/pod": { "memory.max": 1000 }, "/pod/c": {} });
      const empty = [await makeEmptyProgram(`${dir}/empty`, versionOf(program))];
      const programs = {
        first: empty,
        second: empty,
        version: [program, "--version"],
        inspect: [program, "inspect", "--root", tree.dir, "/pod/c"],
      };
      const fastest = { empty: Infinity, twice: Infinity, version: Infinity, inspect: Infinity };
      let ratios = { version: Infinity, inspect: Infinity };
      const isFast = () => ratios.version <= 1.5 && ratios.inspect <= 2;
      for (let round = 0; round < MAX_ROUNDS && !isFast(); round++) {
        const times = await measureInTurn(programs, RUNS);
        const { first, second, version, inspect } = times;
        const twice = first.map((ms, run) => ms + second[run]!);
        const empty = [...first, ...second];
        for (const [name, all] of Object.entries({ empty, twice, version, inspect })) {
          const key = name as keyof typeof fastest;
          fastest[key] = Math.min(fastest[key], ...all);
        }
        ratios = {
          version: fastest.version / fastest.empty,
          inspect: 2 * fastest.inspect / fastest.twice,
        };
      }
      assert.ok(isFast(), JSON.stringify(ratios));
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  });
}
