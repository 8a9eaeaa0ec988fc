import assert from "node:assert/strict";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree } from "../../helpers/trees.ts";

async function inspect(args: readonly string[], env: Record<string, string>) {
  using tree = makeTree(2, { "/a": { "memory.current": "4096\n" } });
  return await runOomkit(["inspect", "--root", tree.dir, "/a", ...args], { env });
}

Deno.test("a variable sets a switch only with a value that means yes", async () => {
  for (const yes of ["1", "true", "Yes", "on"]) {
    assert.match((await inspect([], { OOMKIT_JSON: yes })).stdout, /^\{/, yes);
  }
  for (const no of ["", "0", "false", "No", "off"]) {
    const { code, stdout } = await inspect([], { OOMKIT_JSON: no, OOMKIT_CHECK: no });
    assert.equal(code, 0, no);
    assert.match(stdout, /^\/a\n/, no);
  }
  const { code, stderr } = await inspect([], { OOMKIT_TREE: "maybe" });
  assert.equal(code, 2);
  assert.equal(stderr, 'oomkit: cannot use OOMKIT_TREE="maybe"; use 1 or 0, yes or no\n');
});

Deno.test("a flag takes precedence over the variable of an equivalent option", async () => {
  assert.match((await inspect(["--output", "text"], { OOMKIT_JSON: "1" })).stdout, /^\/a\n/);
  assert.match((await inspect(["--json"], { OOMKIT_OUTPUT: "text" })).stdout, /^\{/);
  const fake = ["simulate", "--fake", "/dev/null"];
  for (const [flag, name] of [["--mb", "OOMKIT_LIMIT"], ["--limit", "OOMKIT_MB"]] as const) {
    const { stderr } = await runOomkit([...fake, flag, "20M"], { env: { [name]: "30M" } });
    assert.match(stderr, /it is a file/);
  }
});

Deno.test("contradictory flags are refused", async () => {
  for (const args of [["--json", "--output", "text"], ["--output=text", "--json"]]) {
    const { code, stderr } = await inspect(args, {});
    assert.equal(code, 2);
    assert.equal(
      stderr,
      "oomkit: cannot use --json and --output text together; give one of them\n",
    );
  }
});
