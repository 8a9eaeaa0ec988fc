import assert from "node:assert/strict";
import { essentialsOf } from "../../../cli/guard/machine.ts";
import { oomDaemons } from "../../../core/cgroup/oom_daemons.ts";
import { unlessRefused } from "../../../core/cgroup/files.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { check, stateless, write } from "../../helpers/configured.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree } from "../../helpers/trees.ts";

const isEssential = (line: string, essentials = essentialsOf({})) =>
  essentials.some(({ expression }) => expression.test(line));

Deno.test("the essentials are matched by the name of the program", () => {
  const essential = [
    "/sbin/init splash",
    "/usr/lib/systemd/systemd --user",
    "/usr/lib/systemd/systemd-journald",
    "(sd-pam)",
    "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
    "sshd: jane@pts/0",
    "/usr/bin/dbus-daemon --system",
    "/usr/bin/containerd-shim-runc-v2 -namespace moby",
    "/usr/local/bin/kubelet --config=/etc/kubelet.yaml",
    "-login",
    "/usr/local/bin/k3s server",
    "k3s-agent",
  ];
  for (const line of essential) assert.ok(isEssential(line), line);
  const others = [
    "/usr/bin/python3 /opt/sshd.py",
    "postgres: checkpointer",
    "/usr/sbin/sshdx",
    "initdb -D /var/lib/postgresql",
    "kubelets",
    "java -jar /srv/systemd",
  ];
  for (const line of others) assert.ok(!isEssential(line), line);
});

Deno.test("a list of essentials replaces the default ones, or adds to them after the word default", () => {
  const replaced = essentialsOf({ essentials: ["postgres"] });
  assert.ok(isEssential("postgres: writer", replaced));
  assert.ok(!isEssential("/usr/sbin/sshd -D", replaced));
  const extended = essentialsOf({ essentials: ["default", "postgres"] });
  assert.ok(isEssential("postgres: writer", extended));
  assert.ok(isEssential("/usr/sbin/sshd -D", extended));
});

Deno.test("the name of an essential is found where the kernel has cut it off", () => {
  const names = essentialsOf({ essentials: ["prometheus-node-exporter", "postgres-backup-*"] });
  assert.ok(isEssential("prometheus-node", names));
  assert.ok(isEssential("postgres-backup", names));
  assert.ok(isEssential("/usr/bin/prometheus-node-exporter --web", names));
  assert.ok(!isEssential("/usr/bin/prometheus-node --web", names));
  assert.ok(!isEssential("prometheus", names));
});

Deno.test("the machine cannot be guarded where only a part of it is visible", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 2 ** 26 } });
  for (const words of [["--machine"], ["--machine", "/a"]]) {
    const { code, stderr } = await runOomkit(
      ["guard", "--for", "1ms", "--root", tree.dir, ...words],
      { env: stateless },
    );
    assert.equal(code, 2, stderr);
    assert.match(stderr, /^oomkit: cannot guard the machine: [^\n]+\n$/);
  }
  using file = write("[[guard.rule]]\nmachine = true\npolicy = 'process'\n");
  const { code, stderr } = await check(tree, file);
  assert.equal(code, 2);
  assert.match(stderr, /cannot guard the machine/);
});

/** `undefined` where the machine is not visible, as in a container. */
async function guardMachine(words: readonly string[]): Promise<string | undefined> {
  const ran = await runOomkit(["guard", ...words], { env: stateless });
  if (/cannot guard the machine/.test(ran.stderr)) return undefined;
  assert.equal(ran.code, 0, ran.stderr);
  return ran.stdout + ran.stderr;
}

Deno.test("the machine is named by any path of the root, and beside it that is no other target", async () => {
  for (const path of ["//", "/.", unlessRefused(discover)?.mount ?? "/"]) {
    const text = await guardMachine(["--check-config", path]);
    if (text !== undefined) assert.match(text, /^targets +the machine$/m, path);
  }
  const all = await guardMachine(["--check-config", "--machine", "-r", "/"]);
  if (all !== undefined) assert.match(all, /^targets +the machine \/$/m);
});

Deno.test("a mode that the machine has no file for is refused, in its rule too", async () => {
  using file = write("[[guard.rule]]\nmachine = true\nmode = 'hold'\n");
  for (const words of [["--config", file.path], ["--machine", "--mode", "hold"]]) {
    const { code, stderr } = await runOomkit(["guard", "--check-config", ...words], {
      env: stateless,
    });
    assert.equal(code, 2);
    assert.match(stderr, /cannot use --mode hold for the machine|cannot guard the machine/);
  }
});

Deno.test("percentages are printed as they were given", async () => {
  const words = ["--machine", "--psi", "full:7%/10s", "--on-critical", "process", "--swap", "55%"];
  const text = await guardMachine(["--check-config", ...words, "--margin-ratio", "7%"]);
  if (text !== undefined) assert.match(text, /margin 7%, .*, swap 55%, psi full:7%\/10s, /);
});

Deno.test("the essentials that are printed are those of the rule for the machine", async () => {
  using file = write("[[guard.rule]]\nmachine = true\nessentials = ['postgres']\n");
  const words = ["--dry-run", "--for", "1ms", "--config", file.path];
  const text = await guardMachine(words);
  if (text === undefined) return;
  assert.match(text, /^never killed for the machine: pid 1, kernel threads, oomkit, postgres$/m);
});

Deno.test("the root of a tree that is not the machine's is a cgroup like others", async () => {
  using tree = makeTree(1, { "/": { "memory.limit_in_bytes": 2 ** 26 } });
  const ran = await runOomkit(["guard", "--check-config", "--root", tree.dir, "/"], {
    env: stateless,
  });
  assert.match(ran.stdout, /^\/: default policy, limit 64\.0 MiB$/m, ran.stderr);
});

Deno.test("a rule for the machine selects nothing else", async () => {
  using tree = makeTree(2, {});
  const cases: readonly [text: string, message: RegExp][] = [
    ["machine = false", /:2: machine can only be true/],
    ["machine = true\ncgroup = '/a'", /a rule for the machine selects no cgroups/],
    ["machine = true\nessentials = ['a b']", /"a b" is not the name of a program/],
  ];
  for (const [text, message] of cases) {
    using file = write(`[[guard.rule]]\n${text}\n`);
    const { code, stderr } = await check(tree, file);
    assert.equal(code, 2);
    assert.match(stderr, message);
  }
});

Deno.test("of two rules for the machine the second one is reported as unused", async () => {
  using file = write(
    "[[guard.rule]]\nmachine = true\n[[guard.rule]]\nname = 'b'\nmachine = true\n",
  );
  const words = ["guard", "--config", file.path, "--check-config"];
  const { code, stderr } = await runOomkit(words, { env: stateless });
  // In a container the machine is not visible.
  if (code === 2) return assert.match(stderr, /cannot guard the machine/);
  assert.equal(stderr, 'the rule "b" never applies: an earlier rule is for the machine\n');
});

Deno.test("the machine is refused together with a pod", async () => {
  using file = write("[[guard.rule]]\nmachine = true\n");
  for (const words of [["--machine"], ["--config", file.path]]) {
    const ran = await runOomkit(["guard", "--pod", ...words, "--for", "1ms"], { env: stateless });
    assert.equal(ran.code, 2);
    assert.match(ran.stderr, /^oomkit: cannot guard the machine and a pod together: [^\n]+\n$/);
  }
});

Deno.test("an order of victims without figures is refused", async () => {
  using v1 = makeTree(1, { "/a": { "memory.limit_in_bytes": 2 ** 26 } });
  using v2 = makeTree(2, { "/a": { "memory.max": 2 ** 26 } });
  const check = (dir: string, order: string) =>
    runOomkit(["guard", "--check-config", "--root", dir, "/a", "--victim-order", order], {
      env: stateless,
    });
  for (const order of ["pgscan", "pressure"]) {
    const { code, stderr } = await check(v1.dir, order);
    assert.equal(code, 2);
    assert.match(stderr, /--victim-order \w+: cgroup v1 does not count the pages that are scanned/);
    assert.match((await check(v2.dir, order)).stdout, new RegExp(`victim order ${order}`));
  }
  const { code, stderr } = await check(v1.dir, "swap");
  assert.equal(code, 2, "memory.stat has no row for it");
  assert.match(stderr, /--victim-order swap: the kernel counts no swap by cgroup/);
  assert.equal((await check(v2.dir, "swap")).code, 0);
  assert.match((await check(v2.dir, "size")).stderr, /it is not one of badness, pgscan/);
});

Deno.test("other programs that kill for the machine are found by their name", () => {
  const proc = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    const comms = {
      1: "systemd",
      7: "earlyoom",
      8: "systemd-oomd",
      9: "earlyoom-stats",
      10: "python3",
      11: "python3",
    };
    for (const [pid, comm] of Object.entries(comms)) {
      Deno.mkdirSync(`${proc}/${pid}`);
      Deno.writeTextFileSync(`${proc}/${pid}/comm`, `${comm}\n`);
    }
    Deno.writeTextFileSync(`${proc}/10/cmdline`, "python3\0/usr/sbin/nohang\0--monitor\0");
    Deno.writeTextFileSync(`${proc}/11/cmdline`, "python3\0-m\0nohang\0");
    Deno.mkdirSync(`${proc}/sys`);
    const found = oomDaemons(proc).toSorted((a, b) => a.pid - b.pid);
    assert.deepEqual(found, [
      { pid: 7, comm: "earlyoom" },
      { pid: 8, comm: "systemd-oomd" },
      { pid: 10, comm: "nohang" },
    ]);
  } finally {
    Deno.removeSync(proc, { recursive: true });
  }
});

Deno.test("pressure is a condition for the machine only", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 2 ** 26 } });
  const words = ["guard", "--for", "1ms", "--root", tree.dir, "/a", "--psi"];
  for (const text of ["full:10%/10s", "some:1%/1s"]) {
    const { code, stderr } = await runOomkit([...words, text], { env: stateless });
    assert.equal(code, 2);
    assert.match(stderr, /--psi: it is for the machine only; add --machine\n$/);
  }
  for (const text of ["full", "full:10/10s", "full:0%/10s", "full:10%/10ms", "none:10%/10s"]) {
    const { code, stderr } = await runOomkit([...words, text], { env: stateless });
    assert.equal(code, 2);
    assert.match(stderr, /^oomkit: cannot use --psi \S+: [^\n]+\n$/);
  }
  using file = write("[[guard.rule]]\ncgroup = '/a'\npsi = 'full:10%/10s'\n");
  const { code, stderr } = await check(tree, file);
  assert.equal(code, 2);
  assert.match(stderr, /cannot use --psi in the rule "rule 1": it is for the machine only/);
});

Deno.test("essentials are refused where only cgroups are guarded, because they would be killed there", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 2 ** 26 } });
  for (const text of ["[guard]\n", "[[guard.rule]]\ncgroup = '/a'\n"]) {
    using file = write(`${text}essentials = ["postgres"]\n`);
    const { code, stderr } = await check(tree, file, "/a");
    assert.equal(code, 2);
    assert.match(stderr, /cannot use --essentials[^\n]*: it is for the machine only/);
  }
});

Deno.test("a process that is killed for the machine has 10 s to exit, unless another time is given", async () => {
  const timeoutWith = async (...words: string[]) => {
    const args = ["guard", "--machine", "--check-config", "--json", ...words];
    const { code, stdout, stderr } = await runOomkit(args, { env: stateless });
    // In a container the machine is not visible.
    if (code === 2 && /cannot guard the machine/.test(stderr)) return undefined;
    return JSON.parse(stdout).rules.map(({ kill_timeout_ms }: { kill_timeout_ms: number }) =>
      kill_timeout_ms
    );
  };
  const byDefault = await timeoutWith();
  if (byDefault === undefined) return;
  assert.deepEqual(byDefault, [10_000, 500]);
  assert.deepEqual(await timeoutWith("--kill-timeout", "2s"), [2000, 2000]);
});
