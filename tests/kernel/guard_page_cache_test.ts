/** Workloads that do nothing but read and write files live below a guard: a small part of `deno task harmless`. */

import assert from "node:assert/strict";
import { libc } from "../../core/kernel/libc.ts";
import { Harmless } from "../../scripts/harmless/run.ts";
import { WORKLOADS } from "../../scripts/harmless/workloads.ts";
import { kernelTest } from "../helpers/kernel_cases.ts";

// Stays loaded; within a test that would count as a leak.
libc();

const executable = Deno.env.get("OOMKIT_BIN");
/** With a readahead of 8 MiB a guard killed each of them in one run of two. */
const NAMES = ["cache-reread", "compress"];
const RUNS = 3;

// On v2 memory.high slows such a workload down before anything is in question.
kernelTest(
  "page cache that is read and reclaimed as fast as it can be is not killed for",
  async () => {
    await using harmless = await Harmless.start(executable!);
    const pending = [];
    for (const workload of WORKLOADS.filter(({ name }) => NAMES.includes(name))) {
      pending.push(await harmless.measure(workload, RUNS, () => {}));
    }
    for (const { guarded } of await harmless.results(pending)) {
      assert.deepEqual(guarded.map(({ guardKills }) => guardKills), Array(RUNS).fill(0));
    }
  },
  { only: 1, why: executable ? undefined : "it needs the executable" },
);
