import assert from "node:assert/strict";
import { runEach } from "../../helpers/run_each.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";

/** Arguments, and a match for the error. */
const MISTAKES: readonly (readonly [string, RegExp])[] = [
  ["--mb 0", /zero/],
  ["--mb -5", /negative; use a number of MiB, such as 64$/m],
  ["--mb 20X", /unknown unit "X"/],
  ["--mb", /^oomkit: cannot use --mb: <\S+> is missing/],
  ["--limit 20", /^oomkit: cannot use --limit 20: it means 20 bytes; did you mean 20M\?$/m],
  ["--limit 20X", /unknown unit "X"/],
  ["--limit max", /limit is needed/],
  ["--limit 1e99", /unit|number/],
  ["--limit 64K", /the allocator itself needs more/],
  ["--limit 900T", /900\.0 TiB: .* has only .* left/],
  ["--mb 20 --limit 30M", /differ/],
  ["--rate 0", /zero/],
  [
    "--rate 10",
    /^oomkit: cannot use --rate 10: it means 10 bytes a second; did you mean 10M\/s\?$/m,
  ],
  ["--rate 4095/s", /it means 4095 bytes a second; did you mean 4095M\/s\?$/m],
  ["--rate fast", /^oomkit: cannot use --rate fast: [^"]*10M\/s/],
  ["--rate -1M/s", /^oomkit: cannot use --rate -1M\/s: it is negative; use a rate/],
  ["--step 0", /zero/],
  ["--step 64", /^oomkit: cannot use --step 64: it means 64 bytes; did you mean 64M\?$/m],
  ["--stop-at 18", /it means 18 bytes; did you mean 18% or 18M\?$/m],
  ["--record x --record-max 64", /--record-max 64: it means 64 bytes; did you mean 64M\?$/m],
  ["--step 21M", /more than 20\.0 MiB/],
  ["--stop-at 101%", /out of range/],
  ["--stop-at 21M", /the limit is 20\.0 MiB/],
  ["--hold 5", /it has no unit; did you mean 5s or 5ms\?$/m],
  ["--kind heap", /^oomkit: cannot use --kind heap: it is not one of anon, file, shmem$/m],
  ["--procs 0", /1 to 64/],
  ["--procs 2.5", /1 to 64/],
  ["--on-signal die", /^oomkit: cannot use --on-signal die: it is not one of /],
  ["--http 80801", /a port is 1 to 65535/],
  ["--http nowhere", /names no port/],
  ["--expect boom", /cannot use --expect boom: it is not one of oom_kill, user_kill, survived$/m],
  ["--expect oom-kill", /it is not one of [^;]+; did you mean oom_kill\?$/m],
  ["--threshold 120%", /out of range/],
  ["--here --mb 20", /cannot set a limit on oomkit's own cgroup/],
  ["--fake /dev/null", /it is a file/],
  ["--fake /", /it is not empty/],
  ["--fake /no/such/directory", /its parent directory does not exist/],
  ["--fake /no/such/directory --here", /--here and --fake together/],
  ["--fake-version 2", /without --fake/],
  ["--growth leak", /--growth without --fake/],
  ["--machine", /cannot fill the machine: .*; use a virtual machine .*: --disposable NAME$/m],
  ["--machine --disposable no.such.machine", /cannot fill the machine: /],
  ["--machine --mb 20", /cannot use --mb and --machine together/],
  ["--machine --here", /cannot use --here and --machine together/],
  ["--machine --threshold 50%", /percentage as --threshold/],
  ["--root /no/such/tree", /no such directory/],
  ["surplus", /cannot use "surplus": simulate takes no arguments/],
];

Deno.test("each mistake in the options ends with one line and exit 2", async () => {
  const ran = await runEach(MISTAKES.map(([args]) => ["simulate", ...args.split(" ")]));
  for (const [n, [args, reason]] of MISTAKES.entries()) {
    const { code, stdout, stderr } = ran[n]!;
    assert.deepEqual([code, stdout], [2, ""], `${args}: ${stderr}`);
    assert.match(stderr, reason, args);
    assert.match(stderr, /^oomkit: [^\n]+\n$/, args);
  }
});

Deno.test("the variable that has a guard include the machine does not fill it", async () => {
  const args = ["simulate", "--limit", "64K"];
  const { stderr } = await runOomkit(args, { env: { OOMKIT_MACHINE: "1" } });
  assert.match(stderr, /the allocator itself needs more/);
});

Deno.test("the hidden allocator command accepts only what simulate passes to it", async () => {
  for (const argument of ["", "{", "{}", '{"kind":"anon"}']) {
    const { code, stdout, stderr } = await runOomkit(["__allocate", argument]);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.equal(
      stderr,
      "oomkit: cannot allocate: the argument does not come from simulate; use oomkit simulate\n",
    );
  }
});

Deno.test("the hidden allocator command is not in the help", async () => {
  assert.doesNotMatch((await runOomkit(["--help"])).stdout, /__allocate/);
});
