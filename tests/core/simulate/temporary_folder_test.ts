import assert from "node:assert/strict";
import { sandboxName, self } from "../../../core/simulate/sandbox.ts";
import { createTemporaryFolder } from "../../../core/simulate/folder.ts";

const names = (dir: string) => [...Deno.readDirSync(dir)].map(({ name }) => name);

Deno.test("a folder is our own alone, and what a killed run left is removed, but no living one's", () => {
  const owner = self()!;
  const first = createTemporaryFolder();
  const parent = first.slice(0, first.lastIndexOf("/"));
  const left = sandboxName("oomkit-sim", { ...owner, startTime: owner.startTime - 1n });
  Deno.mkdirSync(`${parent}/${left}/app`, { recursive: true });
  Deno.writeTextFileSync(`${parent}/${left}/app/memory.current`, "0\n");
  const second = createTemporaryFolder();
  try {
    assert.equal(Deno.statSync(first).mode! & 0o777, 0o700);
    assert.equal(Deno.statSync(second).mode! & 0o777, 0o700);
    assert.notEqual(first, second);
    const found = names(parent);
    assert.equal(found.includes(left), false);
    for (const dir of [first, second]) assert.ok(found.includes(dir.slice(parent.length + 1)));
  } finally {
    Deno.removeSync(first);
    Deno.removeSync(second);
  }
});
