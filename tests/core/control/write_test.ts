import assert from "node:assert/strict";
import { mayWrite, reasonOf, writeControl } from "../../../core/control/write.ts";
import { makeDirectory } from "../../helpers/directory.ts";

Deno.test("a value is written to the file that is there", () => {
  using directory = makeDirectory();
  Deno.writeTextFileSync(`${directory.path}/memory.max`, "");
  assert.equal(mayWrite(`${directory.path}/memory.max`), undefined);
  assert.equal(writeControl(`${directory.path}/memory.max`, "4096"), undefined);
  assert.equal(Deno.readTextFileSync(`${directory.path}/memory.max`), "4096");
});

Deno.test("a missing control file is not created", () => {
  using directory = makeDirectory();
  assert.equal(writeControl(`${directory.path}/memory.max`, "4096"), "no such file");
  assert.equal(mayWrite(`${directory.path}/memory.max`), "no such file");
  assert.deepEqual([...Deno.readDirSync(directory.path)], []);
});

Deno.test("checking whether a file may be written does not change it", () => {
  using directory = makeDirectory();
  Deno.writeTextFileSync(`${directory.path}/memory.max`, "max\n");
  mayWrite(`${directory.path}/memory.max`);
  assert.equal(Deno.readTextFileSync(`${directory.path}/memory.max`), "max\n");
});

Deno.test("a value that the kernel refuses is a reason, not an exception", {
  ignore: Deno.build.os !== "linux",
}, () => {
  assert.equal(writeControl("/proc/self/oom_score_adj", "much"), "the kernel refused the value");
});

Deno.test("a failed call is described in words, without the number and the path that Deno adds", () => {
  const reasons: [string, string][] = [
    ["Device or resource busy (os error 16)", "busy"],
    ["Read-only file system (os error 30): open '/x'", "read-only file system"],
    ["Permission denied (os error 13): open '/x'", "permission denied"],
    ["No space left on device (os error 28): write '/x'", "No space left on device"],
    ["something else", "something else"],
  ];
  for (const [message, reason] of reasons) assert.equal(reasonOf(new Error(message)), reason);
  assert.equal(reasonOf("no error at all"), "no error at all");
});
