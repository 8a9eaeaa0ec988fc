import assert from "node:assert/strict";
import { inspectJson } from "../../helpers/inspect_json.ts";
import { runEach } from "../../helpers/run_each.ts";
import { asUnprivilegedUser, oomkitForAllUsers, runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const tree = (): Tree => makeTree(2, { "/a": { "memory.max": 4096 }, "/a/b": {}, "/none": {} });

/** One line on stderr, nothing on stdout, exit 2 for each. */
async function refused(commands: readonly (readonly string[])[]): Promise<string[]> {
  const ran = await runEach(commands.map((args) => ["inspect", ...args]));
  return ran.map(({ code, stdout, stderr }, n) => {
    assert.deepEqual([code, stdout], [2, ""], `${commands[n]!.join(" ")}: ${stderr}`);
    assert.match(stderr, /^oomkit: [^\n]+\n$/);
    assert.doesNotMatch(stderr, /this is a bug|\bat [a-z]+:\/\//);
    return stderr;
  });
}

type Case = readonly [args: readonly string[], message: RegExp];

async function refusedWith(cases: readonly Case[]): Promise<void> {
  const lines = await refused(cases.map(([args]) => args));
  for (const [n, [args, message]] of cases.entries()) {
    assert.match(lines[n]!, message, args.join(" "));
  }
}

Deno.test("every mistake in a target gets one line and exit 2", async () => {
  using t = tree();
  const targets: [string, RegExp][] = [
    ["/a/x", /there is no such cgroup/],
    ["/a/../../etc", /has no "\.\."/],
    ["/etc", /is outside the memory hierarchy/],
    ["/a/memory.max", /it is not a directory/],
    ["pid:0", /not a pid; give a number, such as pid:4242$/m],
    ["pid:2147483647", /no such process, or \/proc hides it .*; find its pid with: pgrep/],
    ["id:ffff", /"id:ffff": no cgroup of container ffff; is it running\?/],
    ["pod:ffff", /"pod:ffff": no cgroup of pod ffff; does it run on this node\?/],
    [
      "unit:nope",
      /"unit:nope": no cgroup of unit nope\.service; is it running\? systemctl status nope$/m,
    ],
    ["/x/*", /no cgroup matches/],
    ["", /it is empty/],
  ];
  await refusedWith([
    ...targets.map(([target, message]): Case => [["--root", t.dir, target], message]),
    [["--root", `${t.dir}/nothing`], /no such directory/],
    [["--root", ""], /--root "": no such directory; give/],
    [["--root", `${t.dir}/a/memory.max`], /it is not a directory; give/],
  ]);
});

Deno.test("every mistake in an option gets one line and exit 2", async () => {
  using t = tree();
  const cases: [string[], RegExp][] = [
    [["--check", "--max-usage", "20X"], /unknown unit/],
    [["--check", "--min-headroom=-5M"], /negative/],
    [["--check", "--min-headroom", "1e99"], /not a number with a unit/],
    [["--check", "--min-headroom", "max"], /a limit is needed here/],
    [["--check", "--min-headroom", "9223372036854775808"], /it is too large/],
    [["--check", "--max-usage", "120%"], /out of range/],
    [["--check", "--require", "limt"], /not one of limit, psi/],
    [["--check"], /no check is given/],
    [["--max-usage", "80%"], /add --check/],
    [["--depth", "-1"], /depth/],
    [["--depth", "1"], /cannot use --depth alone: it applies to a tree; add --tree/],
    [["--top", "1"], /cannot use --top alone: it applies to a tree; add --tree/],
    [["--top", "0"], /of at least 1/],
    [["--processes", "many"], /not a whole number of at least 0, or all$/m],
    [["--tre"], /unknown option "--tre"; did you mean --tree\? see: oomkit inspect --help$/m],
    [["--nosuch"], /unknown option "--nosuch"; see: oomkit inspect --help$/m],
    [["--output", "xml"], /text, json/],
  ];
  await refusedWith(
    cases.map(([args, message]): Case => [["--root", t.dir, "/a", ...args], message]),
  );
});

Deno.test("a name that is too long is shown by its ends", async () => {
  using t = tree();
  const name = "/begin" + "x".repeat(5000) + "end";
  const long = [[name], [name.slice(1)], [`${name}/*`], ["--root", name]];
  const lines = await refused(long.map((args) => ["--root", t.dir, ...args]));
  for (const line of lines) {
    assert.match(line, /begin.*x….*xend/);
    assert.ok(line.length < 500, `${line.length} characters`);
  }
  assert.match(lines[0]!, /the name is too long; a name has at most/);
});

Deno.test("of several targets the valid ones are shown, and each invalid one gets a line", async () => {
  using t = tree();
  const { code, document, stderr } = await inspectJson([
    "--root",
    t.dir,
    "/x",
    "/a",
    "/a",
    "pid:0",
    "/none",
  ]);
  assert.equal(code, 2);
  assert.deepEqual(document.targets.map((each: { cgroup: string }) => each.cgroup), [
    "/a",
    "/none",
  ]);
  assert.equal(stderr.trim().split("\n").length, 2);
});

Deno.test("empty, torn and otherwise invalid control files are named and count as unknown", async () => {
  using t = tree();
  t.write("/a", "memory.current", "");
  t.write("/a", "memory.max", "40");
  t.write("/a", "memory.events", "oom 1\noom_kill 1");
  t.write("/a", "memory.high", "lots\n");
  const { code, document, stderr } = await inspectJson(["--root", t.dir, "/a"]);
  assert.equal(code, 2);
  const [target] = document.targets;
  assert.equal(target.usage, null);
  assert.equal(target.limits.max, null);
  assert.equal(target.limits.high, null);
  assert.equal(target.counters.subtree.oom, null);
  assert.equal(target.effective_limit.certain, false);
  assert.equal(target.invalid_files.length, 4);
  for (const line of stderr.trim().split("\n")) assert.match(line, /cannot parse .*: /);
  const { stdout } = await runOomkit(["inspect", "--root", t.dir, "/a"]);
  assert.match(stdout, /the limit of \/a cannot be read/);
});

Deno.test("every control file may be missing, empty or torn without a bug showing", async () => {
  for (const version of [1, 2] as const) {
    using t = makeTree(version, { "/a": { "cgroup.procs": Deno.pid } });
    const files = [...Deno.readDirSync(`${t.dir}/a`)].map((entry) => entry.name);
    for (
      const content of [
        undefined,
        "",
        "1",
        "\0\n",
        "max\nmax\n",
        "-1\n",
        "99999999999999999999999\n",
      ]
    ) {
      for (const file of files) {
        if (content === undefined) Deno.removeSync(`${t.dir}/a/${file}`);
        else t.write("/a", file, content);
      }
      const { code, stderr } = await runOomkit(["inspect", "--root", t.dir, "/a"]);
      assert.ok(code === 0 || code === 2);
      assert.doesNotMatch(stderr, /bug|\n +at /);
    }
  }
});

Deno.test("a file that may not be read is one line, also for a user other than root", {
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0,
}, async () => {
  using t = tree();
  using shared = await oomkitForAllUsers();
  Deno.chmodSync(t.dir, 0o755);
  Deno.chmodSync(`${t.dir}/a/memory.current`, 0);
  Deno.chmodSync(`${t.dir}/none`, 0);
  const run = (...args: string[]) =>
    runOomkit(["inspect", "--root", t.dir, ...args], { ...shared, wrap: asUnprivilegedUser });
  const unreadable = await run("/a");
  assert.equal(unreadable.code, 2);
  assert.match(
    unreadable.stderr,
    /^oomkit: cannot read .*memory\.current: permission denied; [^\n]+\n$/,
  );
  const locked = await run("/none");
  assert.equal(locked.code, 2);
  assert.match(locked.stderr, /^oomkit: cannot [^\n]+permission denied[^\n]+\n$/);
  // An ancestor that cannot be read makes the limit uncertain, and hides nothing else.
  Deno.chmodSync(`${t.dir}/a/memory.max`, 0);
  const child = await run("/a/b");
  assert.equal(child.stderr, "");
  assert.equal(child.code, 0);
  assert.match(child.stdout, /the limit of \/a cannot be read/);
  // A directory without access does not hide the rest of the tree.
  const whole = await run("--tree", "/");
  assert.equal(whole.code, 0, whole.stderr);
  assert.match(whole.stdout, / a$/m);
});
