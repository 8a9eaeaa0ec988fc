import assert from "node:assert/strict";
import { inspectJson } from "../../helpers/inspect_json.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const MIB = 1024 ** 2;
const ID = "3f".repeat(32);

/** A pod with 40 of 64 MiB in use, and in it a container without a limit. */
function pod(): Tree {
  return makeTree(2, {
    "/pod": {
      "memory.max": 64 * MIB,
      "memory.current": 40 * MIB,
      "memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 9007199254740993\noom_group_kill 0\n",
    },
    [`/pod/${ID}`]: {
      "memory.current": 16 * MIB,
      "memory.stat": `anon ${12 * MIB}\nfile ${4 * MIB}\ninactive_file ${
        3 * MIB
      }\nactive_file ${MIB}\n`,
      "cgroup.procs": Deno.pid,
    },
    "/pod/other": { "memory.current": 24 * MIB },
  });
}

Deno.test("inspect shows the owner of the limit, what is left, and the victim", async () => {
  using tree = pod();
  const { code, stdout, stderr } = await runOomkit([
    "inspect",
    "--root",
    tree.dir,
    ID.slice(0, 12),
  ]);
  assert.equal(stderr, "");
  assert.equal(code, 0);
  assert.match(stdout, new RegExp(`^/pod/${ID}$`, "m"));
  assert.match(stdout, /container 3f3f3f3f3f3f/);
  assert.match(stdout, /limit +64\.0 MiB, set by \/pod, its parent/);
  assert.match(stdout, /headroom +24\.0 MiB \(37\.5%\)/);
  assert.match(
    stdout,
    /16\.0 MiB · working set 13\.0 MiB\n +reclaimable 4\.0 MiB \(1\.0 MiB of it in the working set\)/,
  );
  assert.match(stdout, new RegExp(`kill pid ${Deno.pid} \\(`));
});

Deno.test("without a terminal no line is wider than 80 columns", async () => {
  using tree = makeTree(1, { "/a": {}, "/a/b": { "cgroup.procs": Deno.pid } });
  for (const args of [["/a/b"], ["--tree", "/"], ["/a/b", "--processes", "all"]]) {
    const { stdout } = await runOomkit(["inspect", "--root", tree.dir, ...args]);
    for (const line of stdout.split("\n")) assert.ok(line.length <= 80, line);
  }
});

Deno.test("the JSON document keeps counters exact and distinguishes no limit from an unknown one", async () => {
  using tree = pod();
  tree.add("/none", { "memory.max": "max\n", "memory.high": undefined, "memory.peak": undefined });
  const { stdout, document } = await inspectJson(["--root", tree.dir, "/pod", "/none"]);
  assert.match(stdout, /"oom_kill": 9007199254740993\b/);
  const [pod1, none] = document.targets;
  assert.deepEqual(pod1.limits.max, { bytes: 64 * MIB, unlimited: false });
  assert.deepEqual(none.limits.max, { bytes: null, unlimited: true });
  assert.equal(none.limits.high, null);
  assert.equal(none.peak, null);
  assert.equal(none.headroom, null);
  assert.deepEqual(none.effective_limit, {
    bytes: null,
    unlimited: true,
    scope: "system",
    owner: null,
    certain: true,
  });
  assert.deepEqual(pod1.headroom, {
    bytes: 24 * MIB,
    percent: 37.5,
    limit: 64 * MIB,
    scope: "cgroup",
    owner: "/pod",
  });
});

Deno.test("the victim is searched in the whole subtree of the limit's owner", async () => {
  using tree = pod();
  const { document } = await inspectJson(["--root", tree.dir, "/pod/other"]);
  const [other] = document.targets;
  assert.equal(other.oom_forecast.limit_owner, "/pod");
  assert.equal(other.oom_forecast.victim.pid, Deno.pid);
  assert.equal(other.oom_forecast.victim.cgroup, `/pod/${ID}`);
  assert.deepEqual(other.processes, []);
  const { stdout } = await runOomkit(["inspect", "--root", tree.dir, "/pod/other"]);
  assert.match(stdout.replaceAll("\n", " "), new RegExp(`pid ${Deno.pid} .*, in /pod/${ID}`));
});

Deno.test("a group is killed together, and a disabled OOM killer kills nothing", async () => {
  using two = pod();
  two.write("/pod", "memory.oom.group", 1);
  two.write("/pod/other", "cgroup.procs", Deno.ppid);
  const { stdout } = await runOomkit(["inspect", "--root", two.dir, "/pod"]);
  assert.match(
    stdout.replaceAll("\n", " "),
    /with it all 2 processes of \/pod \(memory\.oom\.group\)/,
  );
  using one = makeTree(1, {
    "/a": {
      "memory.limit_in_bytes": MIB,
      "memory.oom_control": "oom_kill_disable 1\nunder_oom 1\noom_kill 0\n",
      "cgroup.procs": Deno.pid,
    },
  });
  const held = await runOomkit(["inspect", "--root", one.dir, "/a"]);
  assert.match(held.stdout, /nothing is killed: the OOM killer is disabled/);
});

Deno.test("the limit of a parent that siblings fill is hit first, even if it is not the tightest", async () => {
  using tree = makeTree(2, {
    "/p": { "memory.max": 100 * MIB, "memory.current": 99 * MIB },
    "/p/c": { "memory.max": 64 * MIB, "memory.current": 10 * MIB },
  });
  const { stdout } = await runOomkit(["inspect", "--root", tree.dir, "/p/c"]);
  assert.match(stdout, /limit +64\.0 MiB, its own/);
  assert.match(stdout, /hit first +the 100\.0 MiB of \/p/);
  const { document } = await inspectJson(["--root", tree.dir, "/p/c"]);
  assert.equal(document.targets[0].effective_limit.owner, "/p/c");
  assert.equal(document.targets[0].oom_forecast.limit_owner, "/p");
});

Deno.test("an ancestor's memory.high is shown if it throttles before the limit is hit", async () => {
  using tree = makeTree(2, {
    "/p": { "memory.high": 32 * MIB },
    "/p/c": { "memory.max": 64 * MIB, "memory.high": 64 * MIB },
    "/p/c/tight": { "memory.max": 16 * MIB },
  });
  const { stdout } = await runOomkit(["inspect", "--root", tree.dir, "/p/c"]);
  assert.match(stdout, /^high +allocators are throttled above 32\.0 MiB \(memory\.high of \/p\)$/m);
  const { document } = await inspectJson(["--root", tree.dir, "/p/c", "/p/c/tight"]);
  const [slowed, killed] = document.targets;
  assert.deepEqual(slowed.effective_high, { bytes: 32 * MIB, owner: "/p" });
  assert.equal(killed.effective_high, null);
  assert.doesNotMatch(
    (await runOomkit(["inspect", "--root", tree.dir, "/p/c/tight"])).stdout,
    /throttled/,
  );
});

Deno.test("a tree is sorted by usage, and --depth and --top bound it", async () => {
  using tree = makeTree(1, {
    "/small": { "memory.usage_in_bytes": 1 * MIB },
    "/big": { "memory.usage_in_bytes": 9 * MIB },
    "/big/deep": { "memory.usage_in_bytes": 8 * MIB },
    "/mid": { "memory.usage_in_bytes": 5 * MIB, "memory.limit_in_bytes": 10 * MIB },
  });
  const names = async (...args: string[]) => {
    const { document } = await inspectJson(["--root", tree.dir, "--tree", ...args]);
    return document.targets[0].tree.map((row: { cgroup: string }) => row.cgroup);
  };
  assert.deepEqual(await names(), ["/", "/big", "/big/deep", "/mid", "/small"]);
  assert.deepEqual(await names("--depth", "1"), ["/", "/big", "/mid", "/small"]);
  assert.deepEqual(await names("--top", "1"), ["/", "/big", "/big/deep"]);
  assert.deepEqual(await names("/mid"), ["/mid"]);
  const { stdout } = await runOomkit(["inspect", "--root", tree.dir, "--tree", "--top", "2"]);
  assert.match(stdout, /5\.0 MiB +\S.* 10\.0 MiB +50\.0% +0 +mid/);
  assert.match(stdout, /… and 1 smaller/);
});

Deno.test("the default target of a tree is its root", async () => {
  using tree = pod();
  const { code, document } = await inspectJson(["--root", tree.dir]);
  assert.equal(code, 0);
  assert.deepEqual(document.targets.map((each: { cgroup: string }) => each.cgroup), ["/"]);
  assert.equal(document.targets[0].usage, null);
});

Deno.test("options may come from the environment", async () => {
  using tree = pod();
  const env = { OOMKIT_ROOT: tree.dir, OOMKIT_OUTPUT: "json", OOMKIT_PROCESSES: "0" };
  const { code, stdout } = await runOomkit(["inspect", "/pod"], { env });
  assert.equal(code, 0);
  const [target] = JSON.parse(stdout).targets;
  assert.equal(target.processes, null);
});

Deno.test("control characters in names do not reach the terminal", async () => {
  using tree = makeTree(2, { "/evil\x1b[31m": {} });
  const { stdout } = await runOomkit(["inspect", "--root", tree.dir, "/*", "--tree"]);
  assert.ok(!stdout.includes("\x1b"));
  assert.match(stdout, /evil\\x1b\[31m/);
});

Deno.test("--color always colours the output", async () => {
  using tree = pod();
  const { stdout } = await runOomkit(["inspect", "--root", tree.dir, "/pod", "--color", "always"]);
  assert.ok(stdout.includes("\x1b["));
});
