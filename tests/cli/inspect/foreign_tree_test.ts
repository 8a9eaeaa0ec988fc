/** Trees that no kernel wrote: no file in place of a control file may block oomkit. */

import assert from "node:assert/strict";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

/** Opening a FIFO blocks until another process opens its other end. */
const bounded = (args: readonly string[]) => runOomkit(args, { wrap: ["timeout", "120"] });

function makeFifo(tree: Tree, path: string): void {
  Deno.removeSync(`${tree.dir}${path}`);
  const { success } = new Deno.Command("mkfifo", { args: [`${tree.dir}${path}`] }).outputSync();
  assert.ok(success);
}

function filesOf(version: 1 | 2): string[] {
  using tree = makeTree(version, { "/a": {} });
  return [...Deno.readDirSync(`${tree.dir}/a`)].map(({ name }) => name);
}

for (const version of [1, 2] as const) {
  Deno.test(`a FIFO in place of a v${version} control file is one error line and does not block`, async () => {
    await Promise.all(
      filesOf(version).map(async (file) => {
        using tree = makeTree(version, { "/a": {}, "/a/b": {} });
        makeFifo(tree, `/a/${file}`);
        const { code, stdout, stderr } = await bounded(["inspect", "--root", tree.dir, "/a"]);
        assert.ok(code === 0 || code === 2, `${code} for ${file}: ${stderr}`);
        if (code === 0) return;
        assert.equal(stdout, "");
        assert.match(stderr, /^oomkit: cannot read \S+: it is not a regular file; [^\n]+\n$/);
        assert.ok(stderr.includes(`/a/${file}`));
      }),
    );
  });
}

Deno.test("an ancestor's limit that is a FIFO makes the limit uncertain and hides nothing else", async () => {
  using tree = makeTree(2, { "/a": {}, "/a/b": { "memory.current": 4096 } });
  makeFifo(tree, "/a/memory.max");
  const { code, stdout } = await bounded(["inspect", "--root", tree.dir, "/a/b"]);
  assert.equal(code, 0);
  assert.match(stdout, /the limit of \/a cannot be read/);
});

Deno.test("a symbolic link to a device is refused as well", async () => {
  using tree = makeTree(2, { "/a": {} });
  Deno.removeSync(`${tree.dir}/a/memory.stat`);
  Deno.symlinkSync("/dev/zero", `${tree.dir}/a/memory.stat`);
  const { code, stderr } = await bounded(["inspect", "--root", tree.dir, "/a"]);
  assert.equal(code, 2);
  assert.match(stderr, /memory\.stat: it is not a regular file/);
});

Deno.test("a check for write access does not block on a FIFO", async () => {
  using tree = makeTree(1, { "/a": { "cgroup.event_control": "" } });
  makeFifo(tree, "/a/cgroup.event_control");
  const args = ["inspect", "--root", tree.dir, "--check", "--require", "notify", "/a"];
  const { code, stdout } = await bounded(args);
  assert.equal(code, 1);
  assert.match(stdout, /^not ok +notify +.*cgroup\.event_control: it is a FIFO$/m);
});

Deno.test("a watch of a tree with a FIFO as usage ends in time", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 4096 } });
  const watch = ["watch", "--root", tree.dir, "--threshold", "50%", "--for", "50ms"];
  assert.equal((await bounded([...watch, "/a"])).code, 0);
  makeFifo(tree, "/a/memory.current");
  const { code, stderr } = await bounded([...watch, "/a"]);
  assert.equal(code, 2);
  assert.match(
    stderr,
    /^oomkit: cannot read \S+memory\.current: it is not a regular file; [^\n]+\n$/,
  );
});
