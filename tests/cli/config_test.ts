/** The configuration file: what it may say, and how a mistake in it is told. */

import assert from "node:assert/strict";
import { type Ran, runOomkit } from "../run_oomkit.ts";
import { makeTree, type Tree } from "../trees.ts";

const makeNode = (): Tree => {
  const limited = { "memory.max": 209715200 };
  return makeTree(2, {
    "/kubepods": {},
    "/kubepods/db": limited,
    "/kubepods/web": limited,
    "/system.slice": {},
    "/system.slice/nginx.service": limited,
    "/system.slice/nginx.service/worker": limited,
  });
};

interface Written extends Disposable {
  readonly path: string;
}

function write(text: string): Written {
  const folder = Deno.makeTempDirSync({ prefix: "oomkit-config-" });
  const path = `${folder}/config.toml`;
  Deno.writeTextFileSync(path, text);
  return { path, [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }) };
}

const stateless = { OOMKIT_STATE_DIR: "/dev/null/nowhere" };

function check(tree: Tree, file: Written, ...args: string[]): Promise<Ran> {
  const words = ["guard", "--check-config", "--dry-run", "--root", tree.dir, "--config", file.path];
  return runOomkit([...words, ...args], { env: stateless });
}

interface Checked {
  readonly rules: readonly Record<string, unknown>[];
  readonly cgroups: readonly { cgroup: string; rule: string | null; guarded: boolean }[];
}

async function checked(text: string, ...args: string[]): Promise<Checked & { stderr: string }> {
  using tree = makeNode();
  using file = write(text);
  const { code, stdout, stderr } = await check(tree, file, "--json", ...args);
  assert.equal(code, 0, stderr);
  return { ...JSON.parse(stdout), stderr };
}

Deno.test("of several rules the first that fits holds, and the defaults hold for the rest", async () => {
  const { cgroups } = await checked(`
[guard]
policy = "process"

[[guard.rule]]
name = "databases"
cgroup = ["/kubepods/db", "/kubepods/sql"]
policy = "noop"

[[guard.rule]]
name = "pods"
cgroup = "/kubepods/**"
mode = "notify"

[[guard.rule]]
unit = "nginx.*"
exempt = true
`);
  const found = Object.fromEntries(cgroups.map(({ cgroup, rule, guarded }) => [
    cgroup,
    [rule, guarded],
  ]));
  assert.deepEqual(found["/kubepods/db"], ["databases", true]);
  assert.deepEqual(found["/kubepods/web"], ["pods", true]);
  assert.deepEqual(found["/system.slice/nginx.service"], ["rule 3", false]);
  assert.deepEqual(found["/system.slice/nginx.service/worker"], ["rule 3", false]);
  assert.deepEqual(found["/kubepods"], [null, false]);
});

Deno.test("a rule says only what is otherwise, and takes the rest from the table", async () => {
  const { rules } = await checked(`
[guard]
warn = 50
policy = "process"
on-warn = ["signal:SIGUSR1", "reclaim"]
reclaim = false

[[guard.rule]]
cgroup = "/kubepods/db"
critical = "80%"
on-threshold = "container"
`);
  const [rule, rest] = rules as Record<string, never>[];
  assert.deepEqual([rule!["warn"], rule!["critical"]], [50, 80]);
  assert.deepEqual([rest!["warn"], rest!["critical"]], [50, 90]);
  const actions = (which: typeof rule) => (which as { actions?: unknown }).actions;
  const warn = ["signal:SIGUSR1", "reclaim"];
  assert.deepEqual(actions(rule), { warn, critical: [], threshold: ["container"] });
  assert.deepEqual(actions(rest), { warn, critical: [], threshold: ["process"] });
  assert.deepEqual([rule!["reclaim"], rest!["reclaim"]], [false, false]);
});

Deno.test("a variable counts for more than the file, and a flag for more than both", async () => {
  using tree = makeNode();
  using file = write("[guard]\nwarn = 50\ncritical = 80\n");
  const words = ["guard", "--check-config", "--json", "--root", tree.dir, "--critical", "70%"];
  const { stdout } = await runOomkit(words, {
    env: { ...stateless, OOMKIT_CONFIG: file.path, OOMKIT_CRITICAL: "75%", OOMKIT_WARN: "60%" },
  });
  const [{ warn, critical }] = JSON.parse(stdout).rules;
  assert.deepEqual([warn, critical], [60, 70]);
});

/** What holds for all, as --check-config tells it. */
async function usual(text: string, env: Record<string, string>, ...args: string[]) {
  using tree = makeNode();
  using file = write(text);
  const words = ["guard", "--check-config", "--dry-run", "--json", "--root", tree.dir];
  const ran = await runOomkit([...words, "--config", file.path, ...args], {
    env: { ...stateless, ...env },
  });
  assert.equal(ran.code, 0, ran.stderr);
  return JSON.parse(ran.stdout).rules.at(-1);
}

Deno.test("a variable that says no counts for more than a file that says yes", async () => {
  const text = "[guard]\nrepeat = true\nreclaim = false\n";
  const told = async (env: Record<string, string>, given = text) => {
    const { repeat, reclaim } = await usual(given, env);
    return [repeat, reclaim];
  };
  assert.deepEqual(await told({ OOMKIT_REPEAT: "0", OOMKIT_NO_RECLAIM: "no" }), [false, true]);
  assert.deepEqual(await told({ OOMKIT_REPEAT: "1", OOMKIT_NO_RECLAIM: "1" }), [true, false]);
  // Without a value it says nothing.
  assert.deepEqual(await told({ OOMKIT_REPEAT: "", OOMKIT_NO_RECLAIM: "" }), [true, false]);
  assert.deepEqual(await told({ OOMKIT_NO_RECLAIM: "0" }, ""), [false, true]);
});

Deno.test("of policy and on-threshold what is said more directly holds", async () => {
  const threshold = async (text: string, env: Record<string, string>, ...args: string[]) =>
    (await usual(text, env, ...args)).actions.threshold;
  const policy = '[guard]\npolicy = "process"\n';
  assert.deepEqual(await threshold(policy, {}, "--on-threshold", "noop"), ["noop"]);
  const list = '[guard]\non-threshold = "reclaim"\n';
  assert.deepEqual(await threshold(list, { OOMKIT_POLICY: "container" }), ["container"]);
  const env = { OOMKIT_ON_THRESHOLD: "reclaim" };
  assert.deepEqual(await threshold(policy, env, "--policy", "container"), ["container"]);
});

Deno.test("a rule that fits nothing that is there is told, and is no mistake", async () => {
  const { stderr } = await checked('[[guard.rule]]\nname = "x"\ncgroup = "/none/**"\nwarn = 1\n');
  assert.equal(stderr, 'the rule "x" (/none/**) fits no cgroup that is there now\n');
});

Deno.test("a rule behind one that fits all it fits is told", async () => {
  const rule = (name: string) =>
    `[[guard.rule]]\nname = "${name}"\ncgroup = "/kubepods/*"\nwarn = 1\n`;
  const { stderr } = await checked(rule("a") + rule("b"));
  assert.equal(
    stderr,
    'the rule "b" (/kubepods/*) never holds: an earlier one fits all it fits\n',
  );
});

Deno.test("targets may stand in the file, and those of the command line replace them", async () => {
  using tree = makeNode();
  using file = write('[guard]\ntargets = ["/kubepods"]\nrecursive = true\n');
  const paths = async (...args: string[]) => {
    const { stdout } = await check(tree, file, "--json", ...args);
    return (JSON.parse(stdout) as Checked).cgroups.map(({ cgroup }) => cgroup);
  };
  assert.deepEqual(await paths(), ["/kubepods", "/kubepods/db", "/kubepods/web"]);
  assert.deepEqual(await paths("/kubepods/db"), ["/kubepods/db"]);
});

Deno.test("a mistake is one line with the file, its line, and what would be right", async () => {
  using tree = makeNode();
  const rule = '[[guard.rule]]\ncgroup = "/a"\n';
  const mistakes: [string, RegExp][] = [
    ["[guard]\nwarn = \n", /:2:8: invalid value/],
    ["[guard]\n\nwarm = 60\n", /:3: there is no option "warm"; did you mean warn\?/],
    ["[guard]\nwarn = 160\n", /:2: warn = 160: .*out of range/],
    ["[guard]\nwarn = true\n", /:2: warn takes a string or a number/],
    ["[guard]\nrecursive = 1\n", /:2: recursive is true or false/],
    ['[guard]\nwarn = ["1%", "2%"]\n', /:2: warn takes one value/],
    ["[guard]\nrelease = true\n", /:2: release stands on the command line alone; write: --release/],
    ['[guard]\ntargets = "/a"\n', /:2: targets is a list of texts; write targets = /],
    ["\n[gaurd]\nwarn = 1\n", /:2: there is no command "gaurd"; did you mean \[guard\]\?/],
    ["guard = 1\n", /:1: guard is no table; write \[guard\]/],
    ['[guard.rule]\ncgroup = "/a"\n', /:1: rule is no list of tables; write \[\[guard\.rule\]\]/],
    [`${rule}wran = 1\n`, /:3: a rule has no "wran"; did you mean warn\?/],
    [`${rule}listen = ":1"\n`, /:3: a rule has no "listen"; a rule has name, /],
    [`${rule}${rule}mode = "fast"\n`, /:5: mode = "fast": .*auto, notify, tripwire, hold/],
    [`${rule}exempt = true\nwarn = 1\n`, /:4: warn means nothing where nothing is guarded/],
    ['[[guard.rule]]\nname = "x"\n', /:1: the rule does not say where it holds; add cgroup/],
    ['[[guard.rule]]\ncgroup = "kubepods"\n', /:2: "kubepods" is no path; begin with \//],
    ['[[guard.rule]]\npod-labels = ["a"]\n', /:2: pod-labels is a table of texts; write/],
    [`${rule}name = "x"\n${rule}name = "x"\n`, /:6: there is a rule "x" already/],
    [`${rule}avoid = "("\n`, /:3: avoid = "\(": cannot read the expression/],
    ["[watch]\nthreshold = 1\nunti = 1\n", /:3: there is no option "unti"; did you mean until\?/],
    ["[inspect]\nfor = 1\n", /:2: there is no option "for"/],
    ["[simulate]\nmb = -1\n", /:2: mb = -1: /],
  ];
  for (const [text, expected] of mistakes) {
    using file = write(text);
    const { code, stdout, stderr } = await check(tree, file);
    assert.equal(code, 2, text);
    assert.equal(stdout, "", text);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
    assert.match(stderr, expected, text);
    assert.match(stderr, /^oomkit: cannot (use|read) .*config\.toml:/, text);
  }
});

Deno.test("a rule that contradicts itself is told with its name", async () => {
  using tree = makeNode();
  const rule = (what: string) => `[[guard.rule]]\nname = "x"\ncgroup = "/kubepods/*"\n${what}\n`;
  for (
    const [text, expected] of [
      [
        rule("warn = 95"),
        /config\.toml:1: cannot use --warn 95% and --critical 90%: they are out of order/,
      ],
      [rule('mode = "hold"'), /cannot use --mode hold in the rule "x": cgroup v2 cannot/],
    ] as const
  ) {
    using file = write(text);
    const { code, stderr } = await check(tree, file);
    assert.equal(code, 2, text);
    assert.match(stderr, expected);
  }
});

Deno.test("what contradicts itself in the table is told with the file", async () => {
  using tree = makeNode();
  const place = /\(\[guard\] in .*config\.toml\): they are out of order/;
  for (
    const [text, args, expected] of [
      ["warn = 90\ncritical = 70", [], /--warn 90% and --critical 70% \(\[guard\] in /],
      ["critical = 50", [], place],
      ['min-margin = "9M"\nmax-margin = "2M"', [], place],
      ["warn = 90", ["--warn", "80%", "--critical", "70%"], /--critical 70%: they are out of/],
    ] as const
  ) {
    using file = write(`[guard]\n${text}\n`);
    const { code, stderr } = await check(tree, file, ...args);
    assert.equal(code, 2, text);
    assert.match(stderr, expected);
  }
});

Deno.test("what is no regular file, or too large to be a configuration, is not waited for", async () => {
  using large = write("#".repeat(1024 ** 2 + 1));
  const fifo = large.path.replace("config.toml", "fifo");
  await new Deno.Command("mkfifo", { args: [fifo] }).output();
  const refused: [string, RegExp][] = [
    [fifo, /fifo: it is a FIFO; name a regular file that can be read/],
    ["/dev/zero", /\/dev\/zero: it is no regular file/],
    ["/", /\/: it is a directory/],
    [large.path, /it has 1048577 bytes; .*at most 1 MiB/],
  ];
  for (const [path, expected] of refused) {
    const ran = await runOomkit(["inspect", "--config", path], { wrap: ["timeout", "60"] });
    assert.equal(ran.code, 2, ran.stderr);
    assert.match(ran.stderr, /^oomkit: cannot read the configuration /);
    assert.match(ran.stderr, expected);
  }
});

Deno.test("a file that was named and is not there is a mistake; the usual one need not be there", async () => {
  using tree = makeNode();
  const words = ["guard", "--check-config", "--root", tree.dir];
  const { code, stderr } = await runOomkit([...words, "--config", "/nonexistent/c.toml"]);
  assert.equal(code, 2);
  assert.match(stderr, /cannot read the configuration \/nonexistent\/c\.toml: No such file/);
  assert.equal((await runOomkit(words, { env: stateless })).code, 0);
});

Deno.test("watch and inspect take their options from their tables", async () => {
  using tree = makeNode();
  using file = write('[watch]\nfor = "1ms"\noutput = "json"\ntargets = ["/kubepods/db"]\n');
  const { code, stdout } = await runOomkit(["watch", "--root", tree.dir, "--config", file.path]);
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout.trim().split("\n").at(-1)!).cgroups[0].cgroup, "/kubepods/db");
});

Deno.test("who is told, and of what, is checked too, and nothing of it is begun", async () => {
  using tree = makeNode();
  using secret = write("a secret\n");
  const text = (path: string) =>
    '[guard]\nwebhook-url = "http://u:p@localhost:1/token"\nlisten = ":1"\n' +
    `log-file = "/nonexistent/x"\nwebhook-secret-file = "${path}"\n`;
  using fine = write(text(secret.path));
  const { code, stdout, stderr } = await check(tree, fine, "--json", "/kubepods/db");
  assert.equal(code, 0, stderr);
  const { targets, receivers } = JSON.parse(stdout);
  assert.deepEqual(targets, ["/kubepods/db"]);
  assert.deepEqual(receivers, [
    "log /nonexistent/x",
    "webhook http://localhost:1",
    "Prometheus at :1",
  ]);
  using wrong = write(text("/nonexistent/secret"));
  const refused = await check(tree, wrong);
  assert.equal(refused.code, 2);
  assert.match(
    refused.stderr,
    /^oomkit: cannot read the secret in \/nonexistent\/secret: [^\n]+\n$/,
  );
});
