/** `oomkit status` of a guard on a fake tree: arguments, exit statuses, and what it says without a guard. */

import assert from "node:assert/strict";
import { makeDirectory } from "../../helpers/directory.ts";
import { guardStatus } from "../../helpers/guard_status.ts";
import { makeStateDirectory, startGuarded } from "../../helpers/guarded.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { statusJson } from "../../helpers/status_json.ts";
import { makeTree } from "../../helpers/trees.ts";

const MIB = 1024 ** 2;

Deno.test("a guard answers with its policies under rules, what is degraded, and each cgroup's figures", async () => {
  using tree = makeTree(2, {
    "/a": { "memory.max": 64 * MIB, "memory.current": 60 * MIB },
    "/b": { "memory.max": 64 * MIB, "memory.current": 16 * MIB },
    "/b/c": { "memory.current": 8 * MIB },
  });
  using state = makeStateDirectory();
  using directory = makeDirectory();
  const config = directory.write(
    "config.toml",
    '[[guard.rule]]\nname = "db"\ncgroup = ["/a"]\non-imminent = ["exec:secret-command"]\n',
  );
  const args = ["--config", config, "--root", tree.dir, "--dry-run", "/a", "/b/c"];
  await using guarded = await startGuarded(args, { stateDirectory: state.path });
  const { code, document } = await statusJson([], { env: state.env });
  assert.equal(code, 0);
  assert.deepEqual(document.directories, [state.path]);
  const [status] = document.guards;
  assert.deepEqual([status.targets, status.recursive], [["/a", "/b/c"], false]);
  assert.deepEqual(
    // deno-lint-ignore no-explicit-any
    status.policies.map(({ rule, cgroups, dry_run, actions }: any) => [
      rule,
      cgroups,
      dry_run,
      actions.imminent,
    ]),
    [["db", 1, true, ["exec"]], [null, 1, true, []]],
  );
  const shown = Object.fromEntries(
    // deno-lint-ignore no-explicit-any
    status.cgroups.map(({ cgroup, ...rest }: any) => [cgroup, rest]),
  );
  assert.deepEqual(Object.keys(shown), ["/a", "/b/c"]);
  assert.deepEqual(
    [shown["/a"].usage, shown["/a"].limit_owner, shown["/a"].rule],
    [60 * MIB, "/a", "db"],
  );
  // The limit of the parent counts, and so does its usage.
  assert.deepEqual(
    [shown["/b/c"].usage, shown["/b/c"].limit_owner, shown["/b/c"].level],
    [16 * MIB, "/b", null],
  );
  assert.equal(shown["/a"].level, "critical");
  assert.ok(!JSON.stringify(document).includes("secret-command"));
  await guarded.stop();
});

Deno.test("-n lists so many cgroups, 0 none; a pid chooses a guard, by itself or as pid:N", async () => {
  using tree = makeTree(2, {
    "/a": { "memory.max": 64 * MIB, "memory.current": 60 * MIB },
    "/a/b": { "memory.max": 64 * MIB, "memory.current": 30 * MIB },
  });
  using state = makeStateDirectory();
  const args = ["--root", tree.dir, "--dry-run", "-r", "/a"];
  await using guarded = await startGuarded(args, { stateDirectory: state.path });
  const status = (...args: string[]) => runOomkit(["status", ...args], { env: state.env });
  const { code, stdout } = await status("-n", "1");
  assert.equal(code, 0);
  assert.match(stdout, /\n60\.0M .* \/a\n {2}… and 1 more; -n 2 lists all\n$/);
  assert.doesNotMatch((await status("-n0", `pid:${guarded.pid}`)).stdout, /USAGE/);
  const missing = await status(String(guarded.pid), "1");
  assert.equal(missing.code, 1);
  assert.match(missing.stdout, new RegExp(`^guard ${guarded.pid} `));
  assert.equal(missing.stderr, `oomkit: no guard runs with pid 1: looked in ${state.path}\n`);
  await guarded.stop();
});

Deno.test("without a guard it says where it looked, and exits with 1, also without the directory", async () => {
  using directory = makeDirectory();
  for (const path of [directory.path, `${directory.path}/nowhere`]) {
    const { code, stdout, stderr } = await runOomkit(["status"], {
      env: { OOMKIT_STATE_DIR: path },
    });
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, new RegExp(`^oomkit: no guard runs: looked in ${path}`));
  }
  const { code, document } = await statusJson([], { env: { OOMKIT_STATE_DIR: directory.path } });
  assert.equal(code, 1);
  assert.deepEqual([document.guards, document.failures], [[], []]);
});

Deno.test("a program that is no guard is reported with exit 2", async () => {
  using directory = makeDirectory();
  const path = `${directory.path}/guard-4242-7.socket`;
  using listener = Deno.listen({ transport: "unix", path });
  const serving = (async () => {
    for await (const conn of listener) {
      await conn.write(new TextEncoder().encode(JSON.stringify({ ...guardStatus(), pid: "\x1b" })));
      conn.close();
    }
  })().catch(() => {});
  const env = { OOMKIT_STATE_DIR: directory.path };
  const { code, stdout, stderr } = await runOomkit(["status"], { env });
  assert.deepEqual([code, stdout], [2, ""]);
  assert.equal(
    stderr,
    `oomkit: cannot ask the guard with pid 4242 at ${path}: it does not answer as a guard does\n`,
  );
  const { document } = await statusJson([], { env });
  assert.equal((await statusJson(["4242"], { env })).code, 2);
  assert.equal((await statusJson(["1"], { env })).code, 1);
  assert.deepEqual(document.failures.map(({ pid }: { pid: number }) => pid), [4242]);
  listener.close();
  await serving;
});

Deno.test("what is no pid, and a tree, are refused with exit 2 and one line", async () => {
  const cases: [string[], RegExp][] = [
    [["abc"], /^oomkit: cannot use "abc": it is not a pid; see: oomkit status\n$/],
    [["0"], /cannot use "0": it is not a pid/],
    [["/kubepods"], /cannot use "\/kubepods": it is not a pid/],
    [["--root", "/tmp"], /^oomkit: cannot use --root: status asks running guards; leave it out\n$/],
    [["-n", "-1"], /cannot use --rows -1: it is not a whole number/],
  ];
  for (const [args, expected] of cases) {
    const { code, stdout, stderr } = await runOomkit(["status", ...args]);
    assert.deepEqual([code, stdout], [2, ""], args.join(" "));
    assert.match(stderr, expected);
  }
});
