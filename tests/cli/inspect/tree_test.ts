/** `inspect --tree`: order, titles and columns. */

import assert from "node:assert/strict";
import { parse } from "yaml";
import { inspectJson } from "../../helpers/inspect_json.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const MIB = 1024 ** 2;
const LONG = `/small/${"x".repeat(80)}`;

const tree = (): Tree =>
  makeTree(2, {
    "/big": { "memory.current": 90 * MIB, "memory.max": 1000 * MIB },
    "/small": { "memory.current": 9 * MIB, "memory.events": "oom_kill 3\n" },
    [LONG]: { "memory.current": 8 * MIB, "memory.max": 10 * MIB, "memory.peak": 9 * MIB },
  });

async function table(t: Tree, ...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await runOomkit(["inspect", "--tree", "--root", t.dir, ...args]);
  assert.equal(code, 0, stderr);
  return stdout.trimEnd().split("\n");
}

const names = (lines: readonly string[]) => lines.map((line) => line.split(/ +/).at(-1));

Deno.test("--sort lists the cgroups of a tree by a value, with whole paths", async () => {
  using t = tree();
  const sorted = async (key: string) => names(await table(t, "--no-headers", "--sort", key));
  assert.deepEqual((await sorted("used"))[0], LONG);
  assert.deepEqual((await sorted("kills"))[0], "/small");
  assert.deepEqual(await sorted("name"), ["/", "/big", "/small", LONG]);
  assert.deepEqual((await sorted("usage")).filter((name) => name !== "/"), [
    "/big",
    "/small",
    LONG,
  ]);
  assert.deepEqual(names(await table(t, "--sort", "used", "--top", "1")), ["CGROUP", LONG]);
  const { document } = await inspectJson([
    "--tree",
    "--root",
    t.dir,
    "--sort",
    "used",
    "--top",
    "1",
  ]);
  assert.deepEqual(document.targets[0].tree.map(({ cgroup }: { cgroup: string }) => cgroup), [
    LONG,
  ]);
});

Deno.test("in a pipe a tree has whole names, and --no-headers omits the titles", async () => {
  using t = tree();
  const lines = await table(t);
  assert.match(lines[0]!, /^ *USAGE +WORKING SET +LIMIT +USED +KILLS +CGROUP$/);
  assert.ok(lines.some((line) => line.endsWith(LONG.split("/").at(-1)!)));
  assert.deepEqual(await table(t, "--no-headers"), lines.slice(1));
});

Deno.test("-o wide adds peak, swap, high and pressure", async () => {
  using t = tree();
  const [titles, ...lines] = await table(t, "-o", "wide", "--sort", "used");
  assert.match(titles!, /PEAK +SWAP +HIGH +LIMIT +USED +PRESSURE +KILLS +CGROUP$/);
  assert.match(lines[0]!, / 9\.0 MiB .* 10\.0 MiB +80\.0% /);
});

Deno.test("-o yaml has the same document as JSON", async () => {
  using t = tree();
  const args = ["inspect", "--root", t.dir, "--check", "--require", "v2", "/small"];
  const [yaml, json] = [
    await runOomkit([...args, "-o", "yaml"]),
    await runOomkit([...args, "-o", "json"]),
  ];
  assert.match(yaml.stdout, /^v: \d+\n/);
  assert.deepEqual({ ...parse(yaml.stdout), ts: "" }, { ...JSON.parse(json.stdout), ts: "" });
  const both = await runOomkit([...args, "-o", "yaml", "--json"]);
  assert.match(both.stderr, /cannot use --json and --output yaml together; give one of them/);
});

Deno.test("--sort and --no-headers apply to a tree", async () => {
  for (const option of [["--sort", "used"], ["--no-headers"]]) {
    const { code, stderr } = await runOomkit(["inspect", ...option, "/"]);
    assert.equal(code, 2);
    assert.match(stderr, new RegExp(`cannot use ${option[0]} alone: .*; add --tree`));
  }
});
