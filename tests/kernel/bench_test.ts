/** Benchmarks of docs/performance.md run to their end, with few runs; the others take a minute and more. */

import assert from "node:assert/strict";
import { kernelTest } from "../helpers/kernel_cases.ts";

const root = new URL("../..", import.meta.url).pathname;

for (
  const [name, options] of [
    ["race", ["--runs", "1", "--only", "default,64,unthrottled"]],
    ["sweep", []],
    ["latency", []],
  ] as const
) {
  kernelTest(`the benchmark "${name}" runs`, async () => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "scripts/bench.ts", name, ...options],
      cwd: root,
      stdin: "null",
    }).output();
    const said = new TextDecoder().decode(stdout);
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.match(said, /median/);
  });
}
