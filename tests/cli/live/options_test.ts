import assert from "node:assert/strict";
import type { DrawFlags } from "../../../cli/options/subcommand.ts";
import { watchBase } from "../../../cli/watch/options.ts";
import { write } from "../../helpers/configured.ts";

/** The flags that `watch` gets. */
async function flagsOf(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<DrawFlags> {
  const before = Object.keys(env).map((name) => [name, Deno.env.get(name)] as const);
  for (const [name, value] of Object.entries(env)) Deno.env.set(name, value);
  try {
    let found: DrawFlags | undefined;
    await watchBase().exitOverride().action((flags) => void (found = flags as DrawFlags))
      .parseAsync([...args], { from: "user" });
    return found!;
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
}

Deno.test("a live view is requested, refused, or left to the terminal", async () => {
  const cases: [string[], Record<string, string>, boolean | undefined][] = [
    [[], {}, undefined],
    [["--live"], {}, true],
    [["--no-live"], {}, false],
    [[], { OOMKIT_LIVE: "1" }, true],
    [[], { OOMKIT_LIVE: "0" }, false],
    [[], { OOMKIT_LIVE: "" }, undefined],
    [[], { OOMKIT_NO_LIVE: "yes" }, false],
    [[], { OOMKIT_NO_LIVE: "no" }, undefined],
    [["--live"], { OOMKIT_NO_LIVE: "1" }, true],
    [["--no-live"], { OOMKIT_LIVE: "1" }, false],
  ];
  for (const [args, env, live] of cases) {
    assert.equal((await flagsOf(args, env)).live, live, JSON.stringify([args, env]));
  }
});

Deno.test("the configuration decides on a live view, unless the command line or a variable does", async () => {
  const cases: [string, string[], Record<string, string>, boolean | undefined][] = [
    ["live = true", [], {}, true],
    ["live = false", [], {}, false],
    ["live = false", ["--live"], {}, true],
    ["live = true", [], { OOMKIT_LIVE: "0" }, false],
    ["ascii = true", [], {}, undefined],
  ];
  for (const [text, args, env, live] of cases) {
    using file = write(`[watch]\n${text}\n`);
    const flags = await flagsOf([...args, "--config", file.path], env);
    assert.equal(flags.live, live, JSON.stringify([text, args, env]));
    if (text.startsWith("ascii")) assert.equal(flags.ascii, true);
  }
});
