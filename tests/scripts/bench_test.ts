import assert from "node:assert/strict";
import { against, figure, summarize, tableLines } from "../../scripts/bench/statistics.ts";

Deno.test("median, p95 and max are measured values", () => {
  const values = Array.from({ length: 20 }, (_, n) => 20 - n);
  assert.deepEqual(summarize(values), { median: 10, p95: 19, max: 20, runs: 20 });
  assert.deepEqual(summarize([3]), { median: 3, p95: 3, max: 3, runs: 1 });
  assert.deepEqual(summarize([1, 2]), { median: 1, p95: 2, max: 2, runs: 2 });
});

Deno.test("figures show three significant digits", () => {
  const shown = [0, 0.4364, 1.0449, 23.96, 123.4, 4687.2, NaN].map(figure);
  assert.deepEqual(shown, ["0", "0.436", "1.04", "24.0", "123", "4687", "–"]);
});

Deno.test("a target is met at its value", () => {
  assert.equal(against(1.5, 1.5, "×"), "1.50 × (target 1.5 ×: met)");
  assert.equal(against(1.5, 1.51, "×"), "1.51 × (target 1.5 ×: missed)");
});

Deno.test("a table names its unit and aligns its columns", () => {
  const summary = { median: 1, p95: 20, max: 300, runs: 40 };
  assert.deepEqual(tableLines("start-up", "ms", [{ what: "a", summary, remark: "b" }]), [
    "start-up, ms    median       p95       max      runs",
    "a                 1.00      20.0       300        40  b",
  ]);
});

const benchWith = (...args: string[]) => {
  const { code, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    // As in a guest, which has no packages.
    args: ["run", "-A", "--no-check", "--no-config", "--no-lock", "scripts/bench.ts", ...args],
  }).outputSync();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
};

Deno.test("--help names the benchmarks and measures nothing", () => {
  const { code, stdout } = benchWith("idle", "--help");
  assert.equal(code, 0);
  assert.match(stdout, /^usage: .+\nnames: start-up, .+\n$/);
});

Deno.test("an option for a benchmark that takes none is refused before anything is measured", () => {
  const { code, stdout, stderr } = benchWith("idle", "--runs", "3");
  assert.deepEqual([code, stdout], [2, ""]);
  assert.match(stderr, /^bench: cannot use --runs: /);
});
