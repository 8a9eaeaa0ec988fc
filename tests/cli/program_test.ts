import assert from "node:assert/strict";
import { summaryOf, wholeProgram } from "../../cli/program.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";

/** Returns stderr, after checking that it is one line, stdout is empty, and the exit status is 2. */
async function refused(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runOomkit(args);
  assert.equal(code, 2, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, /^oomkit: [^\n]+\n$/);
  return stderr;
}

Deno.test("an unknown command is refused with the list of commands", async () => {
  for (const args of [["nosuch"], ["help", "nosuch"], ["nosuch", "--json", "/a"]]) {
    assert.equal(
      await refused(...args),
      'oomkit: unknown command "nosuch"; ' +
        "the commands are inspect, watch, history, guard, status, simulate, completions\n",
    );
  }
});

Deno.test("a misspelt command is refused with the nearest one", async () => {
  for (const args of [["inspct"], ["help", "inspct"]]) {
    assert.match(
      await refused(...args),
      /"inspct"; did you mean inspect\? \(the commands are inspect, watch, history, guard, status, simulate, completions\)$/m,
    );
  }
});

Deno.test("a word that is an option of oomkit, or the value of one, is refused with that option", async () => {
  const cases: [string[], string][] = [
    [["version"], 'unknown command "version"; write: oomkit --version'],
    [["-v"], "cannot use -v without a command; write: oomkit --version"],
    [["check"], 'unknown command "check"; write: oomkit inspect --check'],
    [["simulate", "20"], "simulate takes no arguments; write: oomkit simulate --mb 20"],
    [["simulate", "1.5GiB"], "simulate takes no arguments; write: oomkit simulate --limit 1.5GiB"],
    [["simulate", "a b.jsonl"], "; write: oomkit simulate --replay 'a b.jsonl'"],
  ];
  for (const [args, message] of cases) {
    const stderr = await refused(...args);
    assert.ok(stderr.endsWith(`${message}\n`), stderr);
  }
});

Deno.test("the hidden command is not suggested, and control characters are escaped", async () => {
  assert.doesNotMatch(await refused("__alocate"), /did you mean/);
  assert.match(await refused("in\nspect\x1b[31m"), /"in\\x0aspect\\x1b\[31m"/);
});

Deno.test("commands in errors and in the help have the name with which the launcher was called", async () => {
  const env = { OOMKIT_CALLED_AS: "./my tools/oomkit" };
  const wrong = await runOomkit(["--json", "watch"], { env });
  assert.match(wrong.stderr, /^oomkit: .*; write: '.\/my tools\/oomkit' watch --json$/m);
  const unknown = await runOomkit(["watch", "--nosuch"], { env });
  assert.match(unknown.stderr, /^oomkit: .*see: '.\/my tools\/oomkit' watch --help$/m);
  const { stdout } = await runOomkit(["-h"], { env });
  assert.match(stdout, /^ {2}'.\/my tools\/oomkit' simulate --mb 64$/m);
});

Deno.test("an option before the command is refused with the right order", async () => {
  const cases: [string[], string][] = [
    [["--output", "json", "inspect", "/a"], "write: oomkit inspect --output json"],
    [["--json", "watch"], "write: oomkit watch --json"],
    [["-r", "watch"], "write: oomkit watch -r"],
  ];
  for (const [args, hint] of cases) {
    const line = await refused(...args);
    assert.ok(
      line.startsWith(`oomkit: cannot use ${args[0]} before the command: options follow`),
      line,
    );
    assert.ok(line.endsWith(`${hint}\n`), line);
  }
});

Deno.test("an option without a command is refused with the list of commands", async () => {
  assert.equal(
    await refused("--json"),
    "oomkit: cannot use --json without a command; " +
      "the commands are inspect, watch, history, guard, status, simulate, completions\n",
  );
});

Deno.test("an option in the place of another option's value is refused", async () => {
  assert.equal(
    await refused("simulate", "--fake", "--mb", "20"),
    "oomkit: cannot use --fake: <dir> is missing before --mb; if --mb is meant, write: --fake=--mb\n",
  );
  assert.match(await refused("guard", "-r", "--policy", "-r"), /--policy: <action> is missing/);
  assert.match(await refused("watch", "--threshold"), /--threshold: <list> is missing$/m);
  // A value may begin with a dash, and a command's words are its own.
  assert.match(await refused("inspect", "--max-usage", "-5M", "--check"), /--max-usage -5M: /);
  assert.match(
    await refused("watch", "--limit", "--", "--for", "--mb"),
    /--limit: <size> is missing$/m,
  );
});

Deno.test("an argument too many is named", async () => {
  assert.equal(
    await refused("simulate", "surplus", "more"),
    'oomkit: cannot use "surplus": simulate takes no arguments\n',
  );
  assert.match(await refused("completions", "bash", "zsh"), /"zsh": completions takes at most 1$/m);
});

Deno.test("help of the program and of a command is printed", async () => {
  for (const args of [["help"], ["--help"], ["-h"]]) {
    const { code, stdout } = await runOomkit(args);
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: oomkit \[options\]/);
  }
  for (const args of [["help", "watch"], ["watch", "--help"]]) {
    const { code, stdout } = await runOomkit(args);
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: oomkit watch /);
  }
});

Deno.test("the program's help says of each command what its definition says", async () => {
  const whole = await wholeProgram();
  assert.equal((await summaryOf("")).helpInformation(), whole.helpInformation());
});

Deno.test("help after the command is refused with the right order", async () => {
  assert.equal(
    await refused("guard", "help"),
    'oomkit: cannot use "help" after the command; ' +
      "write: oomkit help guard, or /help for a cgroup of that name\n",
  );
  assert.match(await refused("completions", "help"), /write: oomkit help completions/);
});

const withVariables = (env: Record<string, string>, ...args: string[]) =>
  runOomkit([...args, "--root", "/no/such/tree"], { env });

Deno.test("a variable that is no option of any command is refused with the nearest one", async () => {
  const cases: [string, RegExp][] = [
    ["OOMKIT_GRACE", /did you mean OOMKIT_GRACE_PERIOD\?$/m],
    ["OOMKIT_MARGIN_RATO", /did you mean OOMKIT_MARGIN_RATIO\?$/m],
    ["OOMKIT_RECLAIM", /did you mean OOMKIT_NO_RECLAIM\?$/m],
    ["OOMKIT_QUUX", /see: oomkit help (guard|inspect)$/m],
  ];
  for (const [name, hint] of cases) {
    for (const command of ["guard", "inspect"]) {
      const { code, stdout, stderr } = await withVariables({ [name]: "5s" }, command);
      assert.deepEqual([code, stdout], [2, ""]);
      const start = `oomkit: cannot use ${name}: there is no such option; `;
      assert.ok(stderr.startsWith(start), stderr);
      assert.match(stderr, hint);
      assert.match(stderr, /^[^\n]+\n$/);
    }
  }
});

Deno.test("variables of other commands, of other parts, of services, and empty ones are no mistakes", async () => {
  const env = {
    OOMKIT_GRACE_PERIOD: "5s",
    OOMKIT_MB: "64",
    OOMKIT_WALKINTERVALSECONDS: "5",
    OOMKIT_STATE_DIR: "/nowhere",
    OOMKIT_DEBUG: "1",
    OOMKIT_EVENT_TYPE: "oom_kill",
    OOMKIT_FUZZ_RUNS: "1",
    OOMKIT_METRICS_SERVICE_HOST: "10.0.0.1",
    OOMKIT_METRICS_PORT_9101_TCP_ADDR: "10.0.0.1",
    OOMKIT_GRACE: "",
  };
  const { stderr } = await withVariables(env, "inspect");
  assert.match(stderr, /no such directory/);
});

Deno.test("help and completions are printed whatever the variables are", async () => {
  const env = { OOMKIT_GRACE: "5s" };
  for (
    const args of [["guard", "--help"], ["help", "guard"], ["--help"], ["completions", "bash"]]
  ) {
    assert.equal((await runOomkit(args, { env })).code, 0, args.join(" "));
  }
});
