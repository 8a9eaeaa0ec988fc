/** deno.json has the version; what must repeat it agrees. */

import assert from "node:assert/strict";
import { VERSION } from "../../cli/version.ts";
import { git } from "../../scripts/command.ts";

Deno.test("every image in deploy and docs has the version of deno.json", async () => {
  const found = await git(
    "grep",
    "-hoE",
    "newTag: .+|oomkit:[0-9]+\\.[0-9.]+",
    "--",
    "deploy",
    "docs/*.md",
  );
  const versions = (found ?? "").split("\n").map((line) => line.replace(/^.*: ?/, ""));
  assert.ok(versions.length >= 3, found);
  assert.deepEqual([...new Set(versions)], [VERSION]);
});
