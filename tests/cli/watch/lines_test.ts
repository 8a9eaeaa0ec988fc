/** What a log gets: stdout that is no terminal. */

import assert from "node:assert/strict";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree } from "../../helpers/trees.ts";

const RFC_3339 = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z`;

Deno.test("in a pipe, watch and guard print one line for each event, with RFC 3339 time and whole paths", async () => {
  const path = `/kubepods/burstable/${"x".repeat(60)}`;
  using tree = makeTree(2, {
    "/kubepods": {},
    "/kubepods/burstable": {},
    [path]: { "memory.max": 64 * 1024 ** 2, "memory.current": 4096 },
  });
  const common = ["--root", tree.dir, path, "--for", "1ms"];
  const watched = await runOomkit(["watch", ...common]);
  assert.match(watched.stdout, new RegExp(`^${RFC_3339}  summary +${path}, watched for .*\n$`));
  const guarded = await runOomkit(["guard", "--dry-run", ...common]);
  assert.match(
    guarded.stdout,
    new RegExp(`^${RFC_3339}  guard_armed +${path}  limit 64\\.0 MiB, notify.*\n`),
  );
});

Deno.test("an event in JSON has the sentence of its line as its message", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 64 * 1024 ** 2, "memory.current": 4096 } });
  const args = ["guard", "--dry-run", "--root", tree.dir, "/a", "--for", "1ms"];
  const [text, json] = [await runOomkit(args), await runOomkit([...args, "--json"])];
  const { message } = JSON.parse(json.stdout.split("\n")[0]!);
  assert.match(message, /^limit 64\.0 MiB, notify, dry run: warn /);
  assert.ok(text.stdout.split("\n")[0]!.includes(`/a                            ${message}`));
});

Deno.test("a variable forces colours where CI shows them, although stdout is no terminal", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 64 * 1024 ** 2, "memory.current": 4096 } });
  const isColoured = async (env: Record<string, string>, ...args: string[]) => {
    const watch = ["watch", "--root", tree.dir, "/a", "--for", "1ms"];
    const ran = await runOomkit([...watch, ...args], { env: { NO_COLOR: "", ...env } });
    return ran.stdout.includes("\x1b[1m");
  };
  assert.equal(await isColoured({}), false);
  assert.equal(await isColoured({ FORCE_COLOR: "1" }), true);
  assert.equal(await isColoured({ CLICOLOR_FORCE: "1" }), true);
  assert.equal(await isColoured({ FORCE_COLOR: "1", NO_COLOR: "1" }), false);
  assert.equal(await isColoured({ FORCE_COLOR: "1" }, "--color", "never"), false);
});

Deno.test("--quiet prints events and errors, and nothing else", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 64 * 1024 ** 2, "memory.current": 4096 } });
  const common = ["--root", tree.dir, "/a", "--for", "1ms"];
  for (const command of [["watch"], ["guard", "--dry-run"]]) {
    const loud = await runOomkit([...command, ...common]);
    assert.match(loud.stderr, /^(watching|guarding) /);
    const quiet = await runOomkit([...command, "-q", ...common]);
    assert.equal(quiet.stderr, "");
    assert.match(quiet.stdout, / summary /);
  }
  const failed = await runOomkit(["watch", "-q", "--root", tree.dir, "/nosuch"]);
  assert.match(failed.stderr, /^oomkit: cannot resolve/);
});

Deno.test("--quiet prints no verdict on a command that was fine, and no findings of a check", async () => {
  const run = await runOomkit(["watch", "--quiet", "--", "true"]);
  assert.equal(run.code, 0);
  assert.doesNotMatch(run.stderr, /exited with 0; no OOM kill/);
  using tree = makeTree(2, { "/a": { "memory.max": 64 * 1024 ** 2, "memory.current": 4096 } });
  const check = ["inspect", "--root", tree.dir, "--check", "--quiet", "/a", "--min-headroom"];
  const results = [await runOomkit([...check, "1M"]), await runOomkit([...check, "1G"])];
  assert.deepEqual(results.map(({ code, stdout, stderr }) => [code, stdout, stderr]), [
    [0, "", ""],
    [1, "", ""],
  ]);
});
