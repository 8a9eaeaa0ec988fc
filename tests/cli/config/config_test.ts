/** The contents of the configuration file. */

import assert from "node:assert/strict";
import {
  check,
  type Checked,
  checked,
  makeNode,
  stateless,
  write,
} from "../../helpers/configured.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";

Deno.test("the first matching rule applies, and the defaults apply to other cgroups", async () => {
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

Deno.test("a rule inherits every option that it does not set from the table", async () => {
  const { rules } = await checked(`
[guard]
warn = 50
policy = "process"
on-warn = ["signal:SIGUSR1", "reclaim"]
reclaim = false

[[guard.rule]]
cgroup = "/kubepods/db"
critical = "80%"
on-imminent = "container"
`);
  const [rule, rest] = rules as Record<string, never>[];
  assert.deepEqual([rule!["warn"], rule!["critical"]], [50, 80]);
  assert.deepEqual([rest!["warn"], rest!["critical"]], [50, 90]);
  const actions = (which: typeof rule) => (which as { actions?: unknown }).actions;
  const warn = ["signal:SIGUSR1", "reclaim"];
  assert.deepEqual(actions(rule), { warn, critical: [], imminent: ["container"] });
  assert.deepEqual(actions(rest), { warn, critical: [], imminent: ["process"] });
  assert.deepEqual([rule!["reclaim"], rest!["reclaim"]], [false, false]);
});

Deno.test("a variable takes precedence over the file, and a flag over both", async () => {
  using tree = makeNode();
  using file = write("[guard]\nwarn = 50\ncritical = 80\n");
  const words = ["guard", "--check-config", "--json", "--root", tree.dir, "--critical", "70%"];
  const { stdout } = await runOomkit(words, {
    env: { ...stateless, OOMKIT_CONFIG: file.path, OOMKIT_CRITICAL: "75%", OOMKIT_WARN: "60%" },
  });
  const [{ warn, critical }] = JSON.parse(stdout).rules;
  assert.deepEqual([warn, critical], [60, 70]);
});

/** The default policy, as --check-config prints it. */
async function defaultPolicy(text: string, env: Record<string, string>, ...args: string[]) {
  using tree = makeNode();
  using file = write(text);
  const words = ["guard", "--check-config", "--dry-run", "--json", "--root", tree.dir];
  const ran = await runOomkit([...words, "--config", file.path, ...args], {
    env: { ...stateless, ...env },
  });
  assert.equal(ran.code, 0, ran.stderr);
  return JSON.parse(ran.stdout).rules.at(-1);
}

Deno.test("a variable that means no takes precedence over a file that says yes", async () => {
  const text = "[guard]\nrepeat = true\nreclaim = false\n";
  const switches = async (env: Record<string, string>, given = text) => {
    const { repeat, reclaim } = await defaultPolicy(given, env);
    return [repeat, reclaim];
  };
  assert.deepEqual(await switches({ OOMKIT_REPEAT: "0", OOMKIT_NO_RECLAIM: "no" }), [false, true]);
  assert.deepEqual(await switches({ OOMKIT_REPEAT: "1", OOMKIT_NO_RECLAIM: "1" }), [true, false]);
  // An empty variable is ignored.
  assert.deepEqual(await switches({ OOMKIT_REPEAT: "", OOMKIT_NO_RECLAIM: "" }), [true, false]);
  assert.deepEqual(await switches({ OOMKIT_NO_RECLAIM: "0" }, ""), [false, true]);
});

Deno.test("of policy and on-imminent the one with the higher precedence applies", async () => {
  const imminent = async (text: string, env: Record<string, string>, ...args: string[]) =>
    (await defaultPolicy(text, env, ...args)).actions.imminent;
  const policy = '[guard]\npolicy = "process"\n';
  assert.deepEqual(await imminent(policy, {}, "--on-imminent", "noop"), ["noop"]);
  const list = '[guard]\non-imminent = "reclaim"\n';
  assert.deepEqual(await imminent(list, { OOMKIT_POLICY: "container" }), ["container"]);
  const env = { OOMKIT_ON_IMMINENT: "reclaim" };
  assert.deepEqual(await imminent(policy, env, "--policy", "container"), ["container"]);
});

Deno.test("a rule that matches no existing cgroup is a warning", async () => {
  const { stderr } = await checked('[[guard.rule]]\nname = "x"\ncgroup = "/none/**"\nwarn = 1\n');
  assert.equal(stderr, 'the rule "x" (/none/**) matches no existing cgroup\n');
});

Deno.test("a rule after one that matches all of its cgroups is a warning", async () => {
  const rule = (name: string) =>
    `[[guard.rule]]\nname = "${name}"\ncgroup = "/kubepods/*"\nwarn = 1\n`;
  const { stderr } = await checked(rule("a") + rule("b"));
  assert.equal(
    stderr,
    'the rule "b" (/kubepods/*) never applies: earlier rules match all of its cgroups\n',
  );
});

Deno.test("targets of the command line replace those of the file", async () => {
  using tree = makeNode();
  using file = write('[guard]\ntargets = ["/kubepods"]\nrecursive = true\n');
  const paths = async (...args: string[]) => {
    const { stdout } = await check(tree, file, "--json", ...args);
    return (JSON.parse(stdout) as Checked).cgroups.map(({ cgroup }) => cgroup);
  };
  assert.deepEqual(await paths(), ["/kubepods", "/kubepods/db", "/kubepods/web"]);
  assert.deepEqual(await paths("/kubepods/db"), ["/kubepods/db"]);
});

Deno.test("a missing --config file is an error, a missing default file is not", async () => {
  using tree = makeNode();
  const words = ["guard", "--check-config", "--root", tree.dir];
  const { code, stderr } = await runOomkit([...words, "--config", "/nonexistent/c.toml"]);
  assert.equal(code, 2);
  assert.match(stderr, /cannot read the configuration \/nonexistent\/c\.toml: No such file/);
  assert.equal((await runOomkit(words, { env: stateless })).code, 0);
});

Deno.test("watch reads its options from its table", async () => {
  using tree = makeNode();
  using file = write('[watch]\nfor = "1ms"\noutput = "json"\ntargets = ["/kubepods/db"]\n');
  const { code, stdout } = await runOomkit(["watch", "--root", tree.dir, "--config", file.path]);
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout.trim().split("\n").at(-1)!).cgroups[0].cgroup, "/kubepods/db");
});

Deno.test("receivers are checked too, without sending or writing anything", async () => {
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
