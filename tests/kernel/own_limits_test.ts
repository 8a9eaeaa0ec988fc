/** The limits of the cgroup that a program runs in. */

import assert from "node:assert/strict";
import { entering, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";

const modules = new URL("../../core/cgroup/", import.meta.url).href;
const SCRIPT = `
const { discover } = await import("${modules}hierarchy.ts");
const { readOwnLimits } = await import("${modules}own_limits.ts");
console.log(JSON.stringify(readOwnLimits(discover()).memory));
`;

async function limitSeenIn(dir: string): Promise<number> {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", `${entering({ dir })}; exec "$0" eval --no-check "$1"`, Deno.execPath(), SCRIPT],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

kernelTest(
  "the own memory limit is the tightest of the own cgroup and those above it",
  async () => {
    await using parent = makeRealCgroup("own-limit");
    parent.limit(400 * MIB);
    const child = parent.child("child");
    assert.equal(await limitSeenIn(child.dir), 400 * MIB);
    child.limit(300 * MIB);
    assert.equal(await limitSeenIn(child.dir), 300 * MIB);
  },
);
