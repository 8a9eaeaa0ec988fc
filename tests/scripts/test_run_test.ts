import assert from "node:assert/strict";
import { root } from "../../scripts/command.ts";
import { inLanes } from "../../scripts/test.ts";
import {
  countTests,
  lastLine,
  missing,
  outcomeOf,
  total,
} from "../../scripts/test_stages/deno_tests.ts";
import { shards } from "../../scripts/test_stages/kernels.ts";
import { isSameOnEachDeno, unitTests } from "../../scripts/test_stages/unit.ts";

/** As `deno test --junit-path` writes it: five tests, of which one failed in a step and one holds an ignored step. */
const report = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="7" failures="2" errors="0" time="0.062">
    <testsuite name="./a_test.ts" tests="7" disabled="2" errors="0" failures="2">
        <testcase name="works" classname="./a_test.ts" time="0.000" line="3" col="6">
        </testcase>
        <testcase name="needs v1" classname="./a_test.ts" time="0.000" line="4" col="6">
            <skipped/>
        </testcase>
        <testcase name="fails" classname="./a_test.ts" time="0.001" line="5" col="6">
            <failure message="1 test step failed">1 test step failed.</failure>
        </testcase>
        <testcase name="a &quot;b&quot; &lt;skipped/&gt;" classname="./a_test.ts" time="0.000" line="6" col="6">
        </testcase>
        <testcase name="fails &gt; inner" classname="./a_test.ts" time="0.000" line="5" col="43">
            <failure message="Uncaught">&lt;skipped/&gt; at file:///a_test.ts:5:43</failure>
        </testcase>
        <testcase name="a &quot;b&quot; &lt;skipped/&gt; &gt; one" classname="./a_test.ts" time="0.000" line="6" col="60">
        </testcase>
        <testcase name="a &quot;b&quot; &lt;skipped/&gt; &gt; two" classname="./a_test.ts" time="0.000" line="6" col="91">
            <skipped/>
        </testcase>
    </testsuite>
    <testsuite name="./b_test.ts" tests="1" disabled="0" errors="0" failures="0">
        <testcase name="fails &gt; is only a name here" classname="./b_test.ts" time="0.000" line="3" col="6">
        </testcase>
    </testsuite>
</testsuites>
`;

Deno.test("tests are counted, steps with their test, ignored ones by name", () => {
  assert.deepEqual(countTests(report), {
    passed: 3,
    failed: 1,
    ignored: ["needs v1", 'a "b" <skipped/> > two'],
  });
  assert.deepEqual(countTests(""), { passed: 0, failed: 0, ignored: [] });
});

Deno.test("a run that failed without a failing test counts one failure, and shows its whole output", () => {
  const passing = report.replaceAll(/<failure.*<\/failure>/g, "");
  const outcome = outcomeOf("unit", 1, passing, "said");
  assert.equal(outcome.failed, 1);
  assert.equal(outcome.failures, "said");
  assert.equal(outcomeOf("unit", 0, "", "no tests").failed, 1);
});

Deno.test("of a long failure the first and last lines are kept", () => {
  const log = Array.from({ length: 100 }, (_, n) => `line ${n} ${"x".repeat(1000)}`).join("\n");
  const { failures } = outcomeOf("unit", 1, "", `\n ERRORS \n\n${log}\n\nnext => b_test.ts`);
  assert.match(failures!, /^ERRORS \n\nline 0 x[^]*… 82 lines …\nline 88 x[^]*next => b_test.ts$/);
  assert.ok(failures!.length < 10_000);
});

Deno.test("failures are shown from the first error on", () => {
  const { failures } = outcomeOf(
    "unit",
    1,
    report,
    "works ... ok\n\n ERRORS \n\nfails => a_test.ts",
  );
  assert.equal(failures, "ERRORS \n\nfails => a_test.ts");
});

Deno.test("a stage that did not run is skipped, and fails in CI", () => {
  const outcomes = [
    outcomeOf("unit", 0, report.replaceAll(/<failure.*<\/failure>/g, ""), ""),
    missing("real v2", "there is no emulator"),
  ];
  assert.equal(lastLine(total(outcomes, false)), "4 passed, 0 failed, 3 skipped");
  assert.equal(lastLine(total(outcomes, true)), "4 passed, 3 failed, 0 skipped");
});

const runner = (...args: string[]) => runnerIn({}, ...args);

function runnerIn(env: Record<string, string>, ...args: string[]) {
  const { code, stdout, stderr } = new Deno.Command("scripts/test", { args, env }).outputSync();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

Deno.test("the runner's last line is the sum of the chosen stages", () => {
  const { code, out } = runner("--only", "layers");
  assert.equal(code, 0, out);
  assert.match(out, /^ok {5} layers: 1 passed, 0 failed, 0 skipped, \d+\.\d s\n/);
  assert.ok(out.endsWith("\n1 passed, 0 failed, 0 skipped\n"), out);
});

Deno.test("in CI a Deno that cannot be fetched is a failure, with npm's last word", () => {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const npx =
    "#!/bin/sh\necho 'npm error code E404' >&2\necho 'npm error 404 not found' >&2\nexit 1\n";
  Deno.writeTextFileSync(`${directory}/npx`, npx, { mode: 0o755 });
  const env = { CI: "true", PATH: `${directory}:${Deno.env.get("PATH")}` };
  const { code, out } = runnerIn(env, "--only", "newest-deno");
  Deno.removeSync(directory, { recursive: true });
  assert.equal(code, 1);
  assert.match(
    out,
    /^FAILED: unit, Deno [\d.]+: cannot fetch Deno [\d.]+ through npx: npm error 404 not found\n/,
  );
  assert.ok(out.endsWith("\n0 passed, 1 failed, 0 skipped\n"), out);
});

Deno.test("the newest Deno runs all unit tests but those of other programs and of the launcher", () => {
  const filesOf = (
    { paths, modules }: ReturnType<typeof unitTests>,
  ) => [...paths, ...Object.values(modules).flat()];
  const run = new Set(filesOf(unitTests(isSameOnEachDeno)));
  const leftOut = filesOf(unitTests()).filter((file) => !run.has(file))
    .map((file) => file.slice(root.length));
  assert.deepEqual(leftOut.filter((file) => !file.startsWith("tests/deploy/")).toSorted(), [
    "tests/core/picture/browser_hostile_test.ts",
    "tests/core/picture/browser_size_test.ts",
    "tests/core/picture/browser_test.ts",
    "tests/scripts/launcher_test.ts",
    "tests/scripts/test_run_test.ts",
  ]);
  assert.ok(!run.values().some((file) => file.includes("/tests/deploy/")));
});

Deno.test("an unknown stage is one line", () => {
  const { code, err } = runner("--only", "layers,foo");
  assert.equal(code, 2);
  assert.match(err, /^test: cannot run the stage "foo": it must be one of fmt, lint, [^\n]*\n$/);
});

Deno.test("--help prints the usage, and runs nothing", () => {
  for (const flag of ["--help", "-h"]) {
    const { code, out, err } = runner(flag);
    assert.equal(code, 0);
    assert.equal(err, "");
    assert.match(
      out,
      /^Usage: scripts\/test \[--only STAGE,…\]\n[^]*only these stages: fmt, lint, check/,
    );
  }
});

Deno.test("an unknown argument is one line", () => {
  for (const args of [["--nosuch"], ["nosuch"], ["--only"]]) {
    const { code, out, err } = runner(...args);
    assert.equal(code, 2);
    assert.equal(out, "");
    assert.match(err, /^test: [^\n]+; known are --only STAGE,… and --help\n$/);
  }
});

Deno.test("at most one job per lane runs at a time, and results keep the order of the jobs", async () => {
  const ends: (() => void)[] = [];
  let [running, most] = [0, 0];
  const job = (name: string) => async () => {
    most = Math.max(most, ++running);
    await new Promise<void>((resolve) => ends.push(resolve));
    running--;
    return name;
  };
  const done = inLanes([job("a"), job("b"), job("c")], 2);
  // The second ends first, and the third takes its lane.
  ends[1]!();
  while (ends.length < 3) await Promise.resolve();
  ends[2]!();
  ends[0]!();
  assert.deepEqual(await done, ["a", "b", "c"]);
  assert.equal(most, 2);
});

Deno.test("a failing job rejects", async () => {
  const bad = () => Promise.reject(new Error("no"));
  await assert.rejects(inLanes([bad, () => Promise.resolve(1)], 2), /no/);
});

Deno.test("files are split by weight, the heaviest first, each into exactly one part", () => {
  const files = [["a", 5], ["b", 9], ["c", 4], ["d", 6]].map(([path, weight]) => ({
    path: String(path),
    weight: Number(weight),
  }));
  assert.deepEqual(shards(files, 2), [["b", "c"], ["a", "d"]]);
  assert.deepEqual(shards(files.slice(0, 1), 3), [["a"]]);
  assert.deepEqual(shards([], 1), []);
});
