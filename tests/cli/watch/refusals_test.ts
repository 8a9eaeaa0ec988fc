import assert from "node:assert/strict";
import { runEach } from "../../helpers/run_each.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree } from "../../helpers/trees.ts";

Deno.test("a command that cannot be run prints one line and exits as a shell does, without a verdict", async () => {
  const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    Deno.writeTextFileSync(`${dir}/plain`, "echo never\n", { mode: 0o644 });
    Deno.writeTextFileSync(`${dir}/script`, "#!/no/such/interpreter -x\n", { mode: 0o755 });
    const cases: [string, number, RegExp][] = [
      ["nosuchcmd", 127, /^oomkit: cannot run nosuchcmd: no directory of PATH has it; [^\n]+\n$/],
      [`${dir}/none`, 127, /^oomkit: cannot run \S+none: there is no such file; [^\n]+\n$/],
      ["", 127, /^oomkit: cannot run "": the name is empty; [^\n]+\n$/],
      ["plain", 126, /^oomkit: cannot run plain: it is not an executable file; [^\n]+\n$/],
      [dir, 126, /^oomkit: cannot run \S+: it is not an executable file; [^\n]+\n$/],
      ["script", 127, /^oomkit: cannot run script: its interpreter \/no\/such\/int[^\n]+\n$/],
      ["x\x1b[31m".repeat(99), 127, /^oomkit: cannot run x\\x1b\[31m[^\n]{1,1000}\n$/],
    ];
    for (const [program, status, message] of cases) {
      const report = `${dir}/report`;
      const { code, stdout, stderr } = await runOomkit(
        ["watch", "--report", report, "--", program, "argument"],
        { env: { PATH: `${dir}:/usr/bin:/bin` } },
      );
      assert.match(stderr, message);
      assert.equal(code, status, program);
      assert.equal(stdout, "");
      assert.throws(() => Deno.statSync(report), Deno.errors.NotFound);
    }
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a command that cannot be limited does not run, and nothing is written", async () => {
  using tree = makeTree(2, {});
  const ran = `${tree.dir}/ran`;
  const report = `${tree.dir}/report`;
  const { code, stdout, stderr } = await runOomkit(
    ["watch", "--root", tree.dir, "--limit", "64M", "--report", report, "--", "touch", ran],
  );
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.match(
    stderr,
    /^oomkit: cannot limit the command to 64\.0 MiB: [^\n]+ is not a kernel's [^\n]+--limit-optional[^\n]+\n$/,
  );
  for (const file of [ran, report]) assert.throws(() => Deno.statSync(file), Deno.errors.NotFound);
});

Deno.test("with --limit-optional every output warns that the command ran without the limit", async () => {
  using tree = makeTree(2, {});
  const [report, log] = [`${tree.dir}/report`, `${tree.dir}/log`];
  const files = ["--report", report, "--log-file", log, "--annotate", "github"];
  const options = ["--root", tree.dir, "--limit", "64M", "--limit-optional", ...files];
  const { code, stderr } = await runOomkit(["watch", ...options, "--", "sh", "-c", "exit 3"]);
  assert.equal(code, 3, stderr);
  const lines = stderr.trimEnd().split("\n");
  assert.equal(lines.length, 3, stderr);
  assert.match(lines[0]!, /^oomkit: warning: the command runs .* without the limit of 64\.0 MiB: /);
  assert.match(
    lines[1]!,
    /^oomkit: sh exited with 3; .*; warning: ran without the limit of 64\.0 M/,
  );
  assert.match(lines[2]!, /^::warning title=oomkit%3A the command ran without its memory limit::/);
  const document = JSON.parse(Deno.readTextFileSync(report));
  assert.equal(document.requested_limit, 64 * 1024 ** 2);
  assert.match(document.limit_refused, /is not a kernel's cgroup tree/);
  const events = Deno.readTextFileSync(log).trimEnd().split("\n").map((line) => JSON.parse(line));
  const [degraded] = events.filter(({ type }) => type === "degraded");
  assert.equal(degraded.requested, "limit of the command");
  assert.equal(degraded.reason, document.limit_refused);
});

Deno.test("a command without a limit runs in oomkit's own cgroup, and an event says so", async () => {
  using tree = makeTree(2, {});
  const log = `${tree.dir}/log`;
  const options = ["--root", tree.dir, "--log-file", log, "--annotate", "github"];
  const { code, stderr } = await runOomkit(["watch", ...options, "--", "true"]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^oomkit: the command runs in oomkit's own cgroup: /);
  assert.doesNotMatch(stderr, /limit of|its memory limit/);
  assert.match(Deno.readTextFileSync(log), /"type":"degraded","requested":"cgroup of the command"/);
});

Deno.test("an event type that only guard emits cannot end a watch", async () => {
  for (const option of ["--until", "--fail-on"]) {
    const { code, stderr } = await runOomkit([
      "watch",
      option,
      "oom_kill,level_reached",
      "--for",
      "1s",
    ]);
    assert.equal(code, 2);
    assert.match(
      stderr,
      new RegExp(`^oomkit: cannot use ${option} [^\\n]+"level_reached" is not one of threshold, `),
    );
  }
});

/** Each is refused with one line. */
async function refused(cases: readonly (readonly [words: string, message: RegExp])[]) {
  const ran = await runEach(cases.map(([words]) => words.split(" ")));
  for (const [n, [words, message]] of cases.entries()) {
    const { code, stderr } = ran[n]!;
    assert.equal(code, 2, words);
    assert.match(stderr, message);
    assert.match(stderr, /^oomkit: [^\n]+\n$/);
  }
}

Deno.test("a misspelt word of a closed list is refused with the word that is meant", async () => {
  const cases: [string, RegExp][] = [
    [
      "watch --until oom-kill",
      /--until oom-kill: it is not one of [^;]+; did you mean oom_kill\?$/m,
    ],
    ["watch --fail-on oom,OOM_KILL", /"OOM_KILL" is not one of [^;]+; did you mean oom_kill\?$/m],
    ["watch --event-types oomkill", /it is not one of [^;]+; did you mean oom_kill\?$/m],
    ["watch --pressure critcal", /it is not one of low, medium, critical; did you mean critical\?/],
    ["watch --pressure low:hierachy", /"hierachy" is not one of [^;]+; did you mean hierarchy\?$/m],
    ["watch --annotate gitub -- true", /it is not one of github, gitlab; did you mean github\?$/m],
    ["inspect --check --require swapoff", /it is not one of [^;]+; did you mean swap-off\?$/m],
    ["guard --mode thottle", /it is not one of [^;]+; did you mean throttle\?$/m],
    ["guard --on-warn sginal", /it is not an action; did you mean signal\? \(use noop, signal/],
    ["guard --on-warn signal:SIGUSER1", /did you mean SIGUSR1\? \(use one of SIGHUP, /],
    ["inspect --output jsno", /it is not one of text, json, yaml, wide; did you mean json\?$/m],
    ["completions zhs", /cannot use zhs: it is not one of bash, zsh, fish; did you mean zsh\?$/m],
  ];
  await refused(cases);
  const { code, stderr } = await runOomkit(["watch"], { env: { OOMKIT_UNTIL: "oom-kill" } });
  assert.equal(code, 2);
  assert.match(stderr, /OOMKIT_UNTIL=oom-kill: it is not one of [^;]+; did you mean oom_kill\?$/m);
});

Deno.test("a bare number that can only be a mistake is refused with what is meant", async () => {
  const cases: [string, RegExp][] = [
    ["watch --threshold 65", /--threshold 65: it means 65 bytes; did you mean 65% or 65M\?$/m],
    ["watch --threshold 80%,512", /"512": it means 512 bytes; did you mean 512M\?$/m],
    ["watch --poll 5", /--poll 5: it has no unit; did you mean 5s or 5ms\?$/m],
    ["watch --for 10", /--for 10: it has no unit; did you mean 10s or 10ms\?$/m],
    ["watch --psi some:150/1s", /"150": it has no unit; did you mean 150s or 150ms\?$/m],
    ["watch --limit 64 -- true", /--limit 64: it means 64 bytes; did you mean 64M\?$/m],
    ["inspect --check --min-headroom 5", /it means 5 bytes; did you mean 5% or 5M\?$/m],
    ["inspect --check --max-usage 2000", /it means 2000 bytes; did you mean 2000M\?$/m],
    ["guard --cooldown 10", /it has no unit; did you mean 10s or 10ms\?$/m],
    ["guard --margin-ratio 2", /it is not a ratio; did you mean 2%\?$/m],
  ];
  await refused(cases);
});

Deno.test("an option of the other way to watch is refused with its own reason", async () => {
  const cases: [string, RegExp][] = [
    ["--report X", /--report without a command; write: oomkit watch --report FILE -- make$/m],
    [
      "--limit-optional",
      /--limit-optional without a command; write: oomkit watch --limit-optional --limit 512M/,
    ],
    ["--limit-optional -- true", /--limit-optional without --limit; add --limit 512M$/m],
    ["--limit 32M", /--limit without a command; write: oomkit watch --limit 512M -- make$/m],
    ["--json -- true", /--json with a command: stdout belongs to the command; use --report FILE/],
    ["--live -- true", /--live with a command: stdout belongs to the command/],
    [
      "--for 5s -- true",
      /--for with a command: the watch ends with the command; use: timeout 5 COMMAND$/m,
    ],
    ["--until oom -- true", /--until with a command: the watch ends with the command/],
    ["-r -- true", /--recursive with a command: only the cgroup of the command is watched/],
    ["--limit 32 -- true", /--limit 32: it means 32 bytes; did you mean 32M\?$/m],
    ["--limit 0 -- true", /--limit 0: .*at least 1M$/m],
  ];
  await refused(cases.map(([words, message]) => [`watch ${words}`, message]));
});

Deno.test("a wait for events that are never reported is refused with what is missing", async () => {
  using tree = makeTree(1, { "/a": {} });
  const until = async (...args: string[]) => {
    const watch = ["watch", "--root", tree.dir, "/a", "--for", "1ms", "--until", ...args];
    return await runOomkit(watch);
  };
  const cases: [string, RegExp][] = [
    ["threshold", /cannot wait for threshold without --threshold: /],
    ["pressure", /cannot wait for pressure without --pressure or --psi: /],
    ["high,oom_group_kill", /cannot wait for high on cgroup v1: /],
    ["cgroup_created", /cannot wait for cgroup_created without --recursive: /],
  ];
  for (const [types, message] of cases) {
    const { code, stderr } = await until(types);
    assert.equal(code, 2, types);
    assert.match(stderr, message);
  }
  // Nothing occurs within the time, which exits with 1.
  assert.equal((await until("threshold", "--threshold", "1M")).code, 1);
  assert.equal((await until("threshold,oom_kill")).code, 1);
});
