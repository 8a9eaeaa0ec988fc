/** The flags of oom-guard and the variables of OOMHero, as their documentation describes them. */

import assert from "node:assert/strict";
import { makeDirectory } from "../../helpers/directory.ts";
import { type Ran, runOomkit } from "../../helpers/run_oomkit.ts";
import { inSharedPidNamespace } from "../../helpers/shared_pid_namespace.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";
import type { Json } from "../../helpers/watched.ts";

const MIB = 1024 ** 2;

/** The limit of oom-guard's example. */
const makeV1 = (): Tree => {
  const limited = { "memory.limit_in_bytes": 209715200 };
  return makeTree(1, { "/kubepods": {}, "/kubepods/pod1": limited, "/kubepods/pod1/c": {} });
};

/** A dry run, because no tree here is a kernel's. */
const guard = (args: readonly string[], env: Record<string, string> = {}) =>
  runOomkit(["guard", "--for", "1ms", "--json", "--dry-run", ...args], {
    env: { OOMKIT_STATE_DIR: "/dev/null/nowhere", ...env },
    wrap: ["timeout", "60"],
  });

/** The same as a container of a pod with a shared process namespace. */
const guardInPod = (args: readonly string[], env: Record<string, string>) =>
  runOomkit(["guard", "--for", "1ms", "--json", "--dry-run", ...args], {
    env: { OOMKIT_STATE_DIR: "/dev/null/nowhere", ...env },
    program: inSharedPidNamespace(),
  });

function guarded({ code, stdout, stderr }: Ran): Json[] {
  assert.equal(code, 0, stderr);
  const events: Json[] = stdout.trim().split("\n").map((line) => JSON.parse(line));
  return events.filter(({ type }) => type === "guard_armed");
}

Deno.test("the arguments of oom-guard's manifest work unchanged and guard everything below --root", async () => {
  using tree = makeV1();
  const manifest = [
    "--v=2",
    "--logtostderr",
    `--root=${tree.dir}`,
    "--walkIntervalSeconds=277",
    "--inotifyResetSeconds=701",
    "--port=0",
    "--margin-ratio=0.02",
    "--min-margin=1",
    "--max-margin=30",
    "--guard-ms=50",
    "--policy=container",
    "--openSoftLimit=false",
    "--webhook-url=http://localhost/message",
  ];
  const [only, ...others] = guarded(await guard(manifest));
  assert.deepEqual(others, []);
  assert.equal(only.cgroup, "/kubepods/pod1");
  assert.equal(only.imminent, 205520896);
  assert.deepEqual(only.actions.imminent, ["container"]);
});

Deno.test("levels are of the working set where nothing but a report happens, else of usage", async () => {
  using tree = makeV1();
  const metricWith = async (...args: string[]) =>
    guarded(await guard(["--root", tree.dir, ...args])).map(({ metric }) => metric);
  assert.deepEqual(await metricWith(), ["working-set"]);
  assert.deepEqual(await metricWith("--policy", "noop"), ["working-set"]);
  assert.deepEqual(await metricWith("--policy", "noop", "--metric", "usage"), ["usage"]);
  assert.deepEqual(await metricWith("--policy", "process"), ["usage"]);
  assert.deepEqual(await metricWith("--on-warn", "signal:USR1"), ["usage"]);
  assert.deepEqual(await metricWith("--policy", "process", "--metric", "working-set"), [
    "working-set",
  ]);
});

Deno.test("margins without a unit are MiB, as in oom-guard", async () => {
  using tree = makeV1();
  const thresholds = async (...args: string[]) =>
    guarded(await guard(["--root", tree.dir, ...args])).map(({ limit, imminent }) =>
      (limit - imminent) / MIB
    );
  assert.deepEqual(await thresholds("--min-margin=7"), [7]);
  assert.deepEqual(await thresholds("--max-margin=3"), [3]);
  assert.deepEqual(await thresholds("--margin-ratio=0.1"), [20]);
});

Deno.test("--openSoftLimit guards soft limits, unless it says false", async () => {
  const soft = { "memory.soft_limit_in_bytes": 100 * MIB };
  using tree = makeTree(1, { "/a": soft });
  const limits = async (flag: string) =>
    guarded(await guard(["--root", tree.dir, flag])).map(({ limit }) => limit);
  assert.deepEqual(await limits("--openSoftLimit=false"), []);
  assert.deepEqual(await limits("--openSoftLimit=true"), [100 * MIB]);
  assert.deepEqual(await limits("--openSoftLimit"), [100 * MIB]);
});

Deno.test("oom-guard's logging flags are accepted, and no flag of oom-guard is in the help", async () => {
  const { stdout } = await runOomkit(["guard", "--help"]);
  assert.match(stdout, /--webhook-url/);
  assert.doesNotMatch(stdout, /--v |--logtostderr|--port|--guard-ms|--inotifyResetSeconds/);
});

const pod = "/kubepods/pod1";
const levels = ([{ warn, critical, limit }]: Json[]) =>
  [warn, critical].map((bytes) => Math.round(100 * bytes / limit));

Deno.test("outside of a shared process namespace OOMHero's variables are ignored, and the guard says so", async () => {
  using tree = makeV1();
  const env = { WARNING: "50", CRITICAL_SIGNAL: "SIGTERM" };
  const ran = await guard(["--root", tree.dir, pod], env);
  const [only] = guarded(ran);
  assert.deepEqual(levels([only]), [65, 90]);
  assert.deepEqual(only.actions, { warn: [], critical: [], imminent: [] });
  assert.match(ran.stderr, /^ignored WARNING, CRITICAL_SIGNAL in the environment: .*use --pod/);
  assert.doesNotMatch(ran.stderr, /signals by/);
  const inPod = await guardInPod(["--root", tree.dir, pod], env);
  assert.match(inPod.stderr, /^guarding .*, signals by WARNING and CRITICAL_SIGNAL in the env/m);
  assert.doesNotMatch(inPod.stderr, /ignored/);
});

Deno.test("OOMHero's variables are levels and signals", async () => {
  using tree = makeV1();
  const env = { WARNING: "50", CRITICAL: "80", CRITICAL_SIGNAL: "SIGTERM", COOLDOWN: "5" };
  const events = guarded(await guardInPod(["--root", tree.dir, pod], env));
  assert.deepEqual(levels(events), [50, 80]);
  assert.deepEqual(events[0].actions, {
    warn: ["signal:SIGUSR1"],
    critical: ["signal:SIGTERM"],
    imminent: [],
  });
});

Deno.test("without OOMHero's variables nothing is signalled", async () => {
  using tree = makeV1();
  const [only] = guarded(await guardInPod(["--root", tree.dir, pod], { COOLDOWN: "5" }));
  assert.deepEqual(only.actions, { warn: [], critical: [], imminent: [] });
});

Deno.test("an invalid percentage in OOMHero's variables is ignored with a warning", async () => {
  using tree = makeV1();
  for (const value of ["0", "101", "1e1", "65%"]) {
    const ran = await guardInPod(["--root", tree.dir, pod], { WARNING: value, CRITICAL: "80" });
    assert.deepEqual(levels(guarded(ran)), [65, 80], value);
    const [warning] = ran.stderr.split("\n");
    assert.ok(
      warning!.startsWith(`WARNING="${value}" is not a percentage from 1 to 100; ignored`),
      warning,
    );
  }
});

Deno.test("a flag takes precedence over OOMHero's variables", async () => {
  using tree = makeV1();
  const env = { WARNING: "50", WARNING_SIGNAL: "SIGHUP" };
  const flags = ["--warn", "70", "--on-warn", "noop"];
  const events = guarded(await guardInPod(["--root", tree.dir, ...flags, pod], env));
  assert.deepEqual(levels(events), [70, 90]);
  assert.deepEqual(events[0].actions.warn, ["noop"]);
});

Deno.test("OOMHero's variables take precedence over the file but not over its rules", async () => {
  using tree = makeV1();
  using directory = makeDirectory();
  const table = "[guard]\nwarn = 40\ncritical = 60\non-warn = 'reclaim'\non-critical = 'reclaim'\n";
  const armed = async (text: string, env: Record<string, string>) => {
    const config = directory.write("config.toml", text);
    const args = ["--root", tree.dir, "--config", config, pod];
    return guarded(await guardInPod(args, { WARNING: "50", WARNING_SIGNAL: "SIGHUP", ...env }));
  };
  const inTable = await armed(table, {});
  assert.deepEqual(levels(inTable), [50, 60]);
  // CRITICAL_SIGNAL is not set.
  assert.deepEqual(inTable[0].actions.warn, ["signal:SIGHUP"]);
  assert.deepEqual(inTable[0].actions.critical, ["reclaim"]);
  assert.deepEqual(levels(await armed(table, { OOMKIT_WARN: "55" })), [55, 60]);
  const rule = "[[guard.rule]]\ncgroup = '/kubepods/*'\nwarn = 45\non-warn = 'noop'\n";
  const inRule = await armed(table + rule, {});
  assert.deepEqual(levels(inRule), [45, 60]);
  assert.deepEqual(inRule[0].actions.warn, ["noop"]);
});

Deno.test("OOMKIT_REPEAT=0 turns off the repetition that OOMHero's variables imply", async () => {
  using tree = makeV1();
  const repeat = async (env: Record<string, string>) => {
    const words = ["guard", "--check-config", "--dry-run", "--json", "--root", tree.dir, pod];
    const { stdout } = await runOomkit(words, {
      env: { WARNING: "50", ...env },
      program: inSharedPidNamespace(),
    });
    return JSON.parse(stdout).rules[0].repeat;
  };
  assert.equal(await repeat({}), true);
  assert.equal(await repeat({ OOMKIT_REPEAT: "0" }), false);
});

Deno.test("an expression that matches nothing is a warning, and the guard starts", async () => {
  using tree = makeV1();
  const ran = await guard(["--root", tree.dir, "--avoid", "postgers", "--ignore", "pod1", pod]);
  assert.equal(guarded(ran).length, 1);
  assert.match(ran.stderr, /^--avoid postgers matches no running process and no cgroup\n/);
  assert.doesNotMatch(ran.stderr, /--ignore/);
});

Deno.test("a v2 tree that is not a kernel's is guarded by polling", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 64 * MIB, "memory.current": 60 * MIB } });
  const { code, stdout, stderr } = await guard(["--root", tree.dir, "/a"]);
  assert.equal(code, 0, stderr);
  const [socket, started, ...more] = stderr.split("\n");
  assert.match(socket!, /^oomkit: no status socket in \/dev\/null\/nowhere: /);
  assert.match(started!, /^guarding 1 cgroup, notify, dry run, nothing is killed; /);
  assert.deepEqual(more, [""]);
  assert.match(stdout, /"type":"summary"/);
});

Deno.test("the start-up line counts the rules, one in the singular", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 64 * MIB, "memory.current": 1 } });
  using directory = makeDirectory();
  const rule = '[[guard.rule]]\ncgroup = "/a"\n';
  for (const [text, expected] of [[rule, "1 rule"], [rule + rule, "2 rules"]] as const) {
    const config = directory.write("oomkit.toml", text);
    const { stderr } = await guard(["--root", tree.dir, "--config", config, "/a"]);
    assert.match(stderr, new RegExp(`^guarding 1 cgroup under ${expected}, notify`, "m"));
  }
});
