import assert from "node:assert/strict";
import { runOomkit } from "../../helpers/run_oomkit.ts";
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

type Case = readonly [args: readonly string[], message: RegExp, env?: Record<string, string>];

/** Ends by itself where it is not refused, so that a test of it can fail. */
const guard = (args: readonly string[], env: Record<string, string> = {}) =>
  runOomkit(["guard", "--for", "1ms", ...args], {
    env: { OOMKIT_STATE_DIR: "/dev/null/nowhere", ...env },
    wrap: ["timeout", "60"],
  });

/** Exit 2 and one line each. */
async function refused(tree: Tree, cases: readonly Case[]): Promise<void> {
  for (const [args, message, env] of cases) {
    const { code, stderr } = await guard(["--root", tree.dir, ...args], env);
    const what = `${args.join(" ")}: ${stderr}`;
    assert.equal(code, 2, what);
    assert.match(stderr, /^oomkit: [^\n]+\n$/, what);
    assert.doesNotMatch(stderr, /this is a bug|undefined|NaN|\bat [a-z]+:\/\//, what);
    assert.match(stderr, message, what);
  }
}

Deno.test("levels that are out of range or of order get one line and exit 2", async () => {
  using tree = makeV2();
  await refused(tree, [
    [["/a", "--warn", "95%"], /--warn 95% and --critical 90%: they are out of order; the first/],
    [["/a", "--critical", "60%"], /--warn 65% and --critical 60%: they are out of order/],
    [["/a", "--warn", "0"], /"0" is out of range; use 1% to 100%/],
    [["/a", "--critical", "101%"], /out of range/],
    [["/a", "--warn", "much"], /has no % sign/],
    [["/a", "--hysteresis", "0%"], /out of range/],
    [["/a"], /--warn 95% and --critical 50%/, { WARNING: "95", CRITICAL: "50" }],
  ]);
});

Deno.test("margins that leave nothing, or are out of order, get one line and exit 2", async () => {
  using tree = makeV2();
  await refused(tree, [
    [["/a", "--margin-ratio", "1"], /"1" is no ratio; use a share/],
    [["/a", "--margin-ratio", "0"], /"0" is no ratio/],
    [["/a", "--margin-ratio", "-2%"], /is no ratio|cannot read percentage/],
    [
      ["/a", "--min-margin", "64"],
      /cannot guard \/a: .* limit that leaves room for the margin; set/,
    ],
    [["/tiny"], /cannot guard \/tiny: .* room for the margin/],
    [
      ["/a", "--min-margin", "40M", "--max-margin", "30"],
      /40\.0 MiB and --max-margin 30\.0 MiB: they/,
    ],
    [["/a", "--max-margin", "0"], /the threshold would be the limit; leave some room/],
    [["/a", "--min-margin", "1X"], /unknown unit/],
  ]);
});

Deno.test("actions that are none, or do not go together, get one line and exit 2", async () => {
  using tree = makeV2();
  await refused(tree, [
    [["/a", "--policy", "kill"], /noop, process, container/],
    [["/a", "--on-warn", "shout"], /"shout" is not an action; use noop, signal\[:SIG\], reclaim/],
    [["/a", "--on-warn", ""], /"" is not an action/],
    [["/a", "--on-warn", "noop,"], /"" is not an action/],
    [["/a", "--on-warn", "exec:"], /exec: needs a command; write exec:COMMAND/],
    [["/a", "--on-warn", "process:7"], /"process:7" is not an action/],
    [["/a", "--on-warn", "signal:SIGKILL"], /cannot send "SIGKILL"; use one of SIGHUP/],
    [["/a", "--on-warn", "signal:"], /cannot send ""/],
    [["/a", "--on-critical", "process,container"], /both process and container at critical/],
    [
      ["/a", "--policy", "process", "--on-imminent", "noop"],
      /--policy and --on-imminent at once/,
    ],
    [["/a"], /WARNING_SIGNAL: cannot send "SIGFOO"; use/, { WARNING_SIGNAL: "SIGFOO" }],
    [["/a"], /CRITICAL_SIGNAL: cannot send "9"/, { CRITICAL_SIGNAL: "9" }],
    [["/a"], /COOLDOWN: cannot read duration "soon"/, { WARNING: "50", COOLDOWN: "soon" }],
  ]);
});

Deno.test("expressions, times and addresses that cannot be read get one line and exit 2", async () => {
  using tree = makeV2();
  await refused(tree, [
    [["/a", "--avoid", "("], /cannot read the expression: .*Unterminated group; write/],
    [["/a", "--prefer", "*"], /cannot read the expression: /],
    [["/a", "--ignore", "\\"], /cannot read the expression: /],
    [["/a", "--grace-period", "5"], /it has no unit/],
    [["/a", "--cooldown=-1s"], /negative/],
    [["/a", "--poll", "0"], /too short/],
    [["/a", "--kill-timeout", "0"], /too short/],
    [["/a", "--port", "70000"], /"70000" is no port; use 1 to 65535, or 0 for none/],
    [["/a", "--listen", "nowhere:x"], /nowhere:x/],
    [
      ["/a", "--webhook-url", "localhost"],
      /cannot report to "localhost": it is no URL; use one such as/,
    ],
    [["/a", "--webhook-url", "file:///x"], /cannot report to "file:\/\/\/x"/],
    [["/a", "--event-format", "xml"], /oomkit, oom-guard/],
    [["/a", "--metric", "rss"], /usage, working-set/],
    [["/a", "--walkIntervalSeconds", "0"], /from 1 up/],
    [["/a", "--guard-ms", "-1"], /from 1 up|argument missing/],
    [["/a", "--openSoftLimit=maybe"], /none of true, false/],
  ]);
});

Deno.test("targets that are not there, or have no limit, get one line and exit 2", async () => {
  using tree = makeV2();
  await refused(tree, [
    [["/none"], /cannot guard \/none: neither it nor an ancestor has a limit .*; set a limit/],
    [["/nothing"], /there is no such cgroup/],
    [["/nothing/*"], /no cgroup matches/],
    [["/a", "/none"], /cannot guard \/none/],
    [["/a", "--pod"], /cannot guard \/a and a pod at once; give one of them/],
    [["--restore", "/a"], /cannot release \/a: .*; write: oomkit guard --restore/],
  ]);
});

Deno.test("a mode that cannot be had gets one line and exit 2", async () => {
  using v1 = makeV1();
  using v2 = makeV2();
  const process = ["/a", "--policy", "process"];
  await refused(v1, [
    [[...process, "--mode", "throttle"], /throttle: cgroup v1 has no memory\.high; use hold or no/],
    [["/a", "--mode", "hold"], /hold: nothing is to be killed, .*; add --policy process/],
    [[...process, "--mode", "hold"], /hold: this tree is not a kernel's; use notify/],
  ]);
  await refused(v2, [
    [[...process, "--mode", "hold"], /hold: cgroup v2 cannot switch the killer off; use throttle/],
    [[...process, "--mode", "throttle"], /throttle: this tree is not a kernel's; use notify/],
    [["/a", "--mode", "hold"], /cgroup v2 cannot switch the killer off/],
    [["/a", "--mode", "loud"], /auto, notify, throttle, hold/],
    [["--pod", "--mode", "hold"], /hold with --pod: other containers' cgroups are not changed/],
  ]);
});

Deno.test("in a tree that is no kernel's nobody is signalled or killed, as its pids may be anybody's", async () => {
  using tree = makeV2();
  tree.write("/a", "memory.current", 64 * MIB);
  tree.write("/a", "cgroup.procs", `${Deno.pid}\n`);
  const message = /here: this tree is not a kernel's, and its pids may be anybody's; add --dry-run/;
  await refused(tree, [
    [["/a", "--policy", "process"], message],
    [["/a", "--on-warn", "container"], message],
    [["/a", "--on-critical", "signal"], message],
    [["/a", "--on-warn", "reclaim"], message],
    [["/a"], message, { WARNING: "50" }],
  ]);
  assert.equal(Deno.readTextFileSync(`${tree.dir}/a/memory.high`), "max\n");
});
