import assert from "node:assert/strict";
import { runEach } from "../../helpers/run_each.ts";
import { type Ran, runOomkit } from "../../helpers/run_oomkit.ts";
import { inSharedPidNamespace } from "../../helpers/shared_pid_namespace.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const MIB = 1024 ** 2;

const makeV2 = (): Tree =>
  makeTree(2, {
    "/a": { "memory.max": 64 * MIB },
    "/a/b": {},
    "/none": {},
    "/tiny": { "memory.max": MIB },
  });
const makeV1 = (): Tree => makeTree(1, { "/a": { "memory.limit_in_bytes": 64 * MIB } });

/** @param env variables of OOMHero, which apply in a pod. */
type Case = readonly [args: readonly string[], message: RegExp, env?: Record<string, string>];

/** Stops after 1 ms if it is not refused, so that the test fails instead of waiting. */
const BRIEFLY = ["guard", "--for", "1ms"];
const options = (env: Record<string, string> = {}) => ({
  env: { OOMKIT_STATE_DIR: "/dev/null/nowhere", ...env },
  wrap: ["timeout", "60"],
});

/** Each case exits with 2 and one line. */
async function refused(tree: Tree, cases: readonly Case[]): Promise<void> {
  const words = (args: readonly string[]) => [...BRIEFLY, "--root", tree.dir, ...args];
  const usual = cases.filter(([, , env]) => env === undefined);
  const ran = await runEach(usual.map(([args]) => words(args)), options());
  for (const [n, [args, message]] of usual.entries()) assertRefused(args, message, ran[n]!);
  for (const [args, message, env] of cases) {
    if (env === undefined) continue;
    const inPod = { ...options(env), program: inSharedPidNamespace() };
    assertRefused(args, message, await runOomkit(words(args), inPod));
  }
}

function assertRefused(args: readonly string[], message: RegExp, { code, stderr }: Ran): void {
  const what = `${args.join(" ")}: ${stderr}`;
  assert.equal(code, 2, what);
  assert.match(stderr, /^oomkit: [^\n]+\n$/, what);
  assert.doesNotMatch(stderr, /this is a bug|undefined|NaN|\bat [a-z]+:\/\//, what);
  assert.match(stderr, message, what);
}

Deno.test("levels out of range or out of order exit with 2 and one line", async () => {
  using tree = makeV2();
  await refused(tree, [
    [["/a", "--warn", "95%"], /--warn 95% and --critical 90%: warn is above critical; set/],
    [["/a", "--critical", "60%"], /--warn 65% and --critical 60%: warn is above critical/],
    [["/a", "--warn", "0"], /^oomkit: cannot use --warn 0: it is out of range; use 1% to 100%/],
    [["/a", "--critical", "101%"], /out of range/],
    [["/a", "--warn", "much"], /has no % sign/],
    [["/a", "--warn", "0.7"], /^oomkit: cannot use --warn 0.7: it is below 1%; did you mean 70%\?/],
    [["/a", "--critical", "0.95"], /did you mean 95%\?/],
    [["/a", "--hysteresis", "0%"], /out of range/],
    [["/a"], /--warn 95% and --critical 50%/, { WARNING: "95", CRITICAL: "50" }],
  ]);
});

Deno.test("margins that are too large or out of order exit with 2 and one line", async () => {
  using tree = makeV2();
  await refused(tree, [
    [
      ["/a", "--margin-ratio", "1"],
      /^oomkit: cannot use --margin-ratio 1: it is not a ratio; use a share/,
    ],
    [["/a", "--margin-ratio", "0"], /cannot use --margin-ratio 0: it is not a ratio/],
    [
      ["/a", "--margin-ratio", "-2%"],
      /cannot use --margin-ratio -2%: out of range; use 0% to 100%/,
    ],
    [
      ["/a", "--min-margin", "64"],
      /cannot guard \/a: the margin \(64\.0 MiB\) is not below the limit \(64\.0 MiB\); lower --min-margin$/m,
    ],
    [
      ["/tiny", "--min-margin", "1M"],
      /cannot guard \/tiny: the margin \(1\.0 MiB\) is not below the limit \(1\.0 MiB\)/,
    ],
    [
      ["/a", "--min-margin", "40M", "--max-margin", "30"],
      /40\.0 MiB and --max-margin 30\.0 MiB: the minimum is/,
    ],
    [["/a", "--max-margin", "0"], /the imminent level would be at the limit; leave a margin/],
    [["/a", "--min-margin", "1X"], /unknown unit/],
  ]);
});

Deno.test("unknown or conflicting actions exit with 2 and one line", async () => {
  using tree = makeV2();
  await refused(tree, [
    [["/a", "--policy", "kill"], /noop, process, container/],
    [
      ["/a", "--on-warn", "shout"],
      /cannot use --on-warn shout: it is not an action; use noop, signal\[:SIG\], reclaim/,
    ],
    [["/a", "--on-warn", ""], /cannot use --on-warn "": it is not an action/],
    [["/a", "--on-warn", "noop,"], /cannot use --on-warn noop,: "" is not an action/],
    [["/a", "--on-warn", "exec:"], /exec: needs a command; write exec:COMMAND/],
    [["/a", "--on-warn", "process:7"], /cannot use --on-warn process:7: it is not an action/],
    [
      ["/a", "--on-warn", "signal:SIGKILL"],
      /cannot send "SIGKILL": it cannot be handled; to kill use the action process or container$/m,
    ],
    [["/a", "--on-warn", "signal:"], /cannot send ""/],
    [["/a", "--on-critical", "process,container"], /both process and container at critical/],
    [
      ["/a", "--policy", "process", "--on-imminent", "noop"],
      /--policy and --on-imminent together/,
    ],
    [["/a"], /WARNING_SIGNAL: cannot send "SIGFOO"; use/, { WARNING_SIGNAL: "SIGFOO" }],
    [["/a"], /CRITICAL_SIGNAL: cannot send "9"/, { CRITICAL_SIGNAL: "9" }],
    [["/a"], /COOLDOWN: cannot read duration "soon"/, { WARNING: "50", COOLDOWN: "soon" }],
  ]);
});

Deno.test("invalid expressions, durations and addresses exit with 2 and one line", async () => {
  using tree = makeV2();
  await refused(tree, [
    [["/a", "--avoid", "("], /cannot read the expression: .*Unterminated group; escape/],
    [["/a", "--prefer", "*"], /cannot read the expression: /],
    [["/a", "--ignore", "\\"], /cannot read the expression: /],
    [["/a", "--grace-period", "5"], /it has no unit/],
    [["/a", "--cooldown=-1s"], /negative/],
    [["/a", "--poll", "0"], /too short/],
    [["/a", "--kill-timeout", "0"], /too short/],
    [
      ["/a", "--port", "70000"],
      /cannot use --port 70000: it is not a port; use 1 to 65535, or 0 for none/,
    ],
    [["/a", "--listen", "nowhere:x"], /nowhere:x/],
    [
      ["/a", "--webhook-url", "localhost"],
      /cannot use --webhook-url localhost: it is not a URL; use one such as/,
    ],
    [
      ["/a", "--webhook-url", "file:///x"],
      /cannot use --webhook-url file:\/\/\/x: its scheme is not http, https or unix; use/,
    ],
    [["/a", "--event-format", "xml"], /oomkit, oom-guard/],
    [["/a", "--metric", "rss"], /usage, working-set/],
    [["/a", "--walkIntervalSeconds", "0"], /of at least 1/],
    [["/a", "--guard-ms", "-1"], /of at least 1|<\S+> is missing/],
    [["/a", "--openSoftLimit=maybe"], /not one of true, false/],
  ]);
});

Deno.test("targets that do not exist or have no limit exit with 2 and one line", async () => {
  using tree = makeV2();
  await refused(tree, [
    [
      ["/none"],
      /cannot guard \/none: no limit on this cgroup or any parent; set memory\.max \(v1: memory\.limit_in_bytes\)$/m,
    ],
    [["/nothing"], /there is no such cgroup/],
    [["/nothing/*"], /no cgroup matches/],
    [["/a", "/none"], /cannot guard \/none/],
    [["/a", "--pod"], /cannot guard \/a and a pod together; give one of them/],
    [["--restore", "/a"], /cannot use \/a with --restore: .*; write: oomkit guard --restore/],
  ]);
});

Deno.test("an unavailable mode exits with 2 and one line", async () => {
  using v1 = makeV1();
  using v2 = makeV2();
  const process = ["/a", "--policy", "process"];
  await refused(v1, [
    [[...process, "--mode", "throttle"], /throttle: cgroup v1 has no memory\.high; use hold or no/],
    [["/a", "--mode", "hold"], /hold: no level kills, .*; add --policy process/],
    [[...process, "--mode", "hold"], /hold: this tree is not a kernel's; use notify/],
  ]);
  await refused(v2, [
    [[...process, "--mode", "hold"], /hold: cgroup v2 cannot disable the OOM killer; use throttle/],
    [[...process, "--mode", "throttle"], /throttle: this tree is not a kernel's; use notify/],
    [["/a", "--mode", "hold"], /cgroup v2 cannot disable the OOM killer/],
    [["/a", "--mode", "loud"], /auto, notify, throttle, hold/],
    [["--pod", "--mode", "hold"], /hold with --pod: the cgroups belong to other containers/],
  ]);
});

Deno.test("a tree that is not a kernel's allows no action on processes, because its pids may be reused", async () => {
  using tree = makeV2();
  tree.write("/a", "memory.current", 64 * MIB);
  tree.write("/a", "cgroup.procs", `${Deno.pid}\n`);
  const message =
    /this tree is not a kernel's, and its pids may belong to unrelated processes; add --dry-run/;
  await refused(tree, [
    [["/a", "--policy", "process"], message],
    [["/a", "--on-warn", "container"], message],
    [["/a", "--on-critical", "signal"], message],
    [["/a", "--on-warn", "reclaim"], message],
    [["/a"], message, { WARNING: "50" }],
  ]);
  assert.equal(Deno.readTextFileSync(`${tree.dir}/a/memory.high`), "max\n");
});
