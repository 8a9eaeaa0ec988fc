import assert from "node:assert/strict";
import { cannotRunReason } from "../../../core/control/executable.ts";
import { libc } from "../../../core/kernel/libc.ts";
import { makeDirectory } from "../../helpers/directory.ts";

// Loaded before the tests: within one, a library that stays loaded counts as a leak.
libc();

Deno.test("a program is found by its path, and by its name in PATH", () => {
  assert.equal(cannotRunReason("/bin/sh"), undefined);
  assert.equal(cannotRunReason("sh", "/no/such/directory:/bin"), undefined);
  assert.equal(cannotRunReason("sh", "/no/such/directory")?.status, 127);
  // An empty part of PATH is the current directory, where this project has no such file.
  assert.equal(cannotRunReason("nosuch", "")?.status, 127);
  assert.equal(cannotRunReason("oomkit", "scripts"), undefined);
});

Deno.test("a file that may not be run does not hide one later in PATH that may", () => {
  using a = makeDirectory();
  using b = makeDirectory();
  a.write("tool", "", 0o644);
  assert.equal(cannotRunReason("tool", `${a.path}:${b.path}`)?.status, 126);
  b.write("tool", "", 0o755);
  assert.equal(cannotRunReason("tool", `${a.path}:${b.path}`), undefined);
});

Deno.test("a directory is not a program, although its mode is executable", () => {
  using a = makeDirectory();
  assert.equal(cannotRunReason(a.path)?.status, 126);
});

Deno.test("a script can be run if its interpreter can", () => {
  using a = makeDirectory();
  const plain = a.write("plain", "", 0o644);
  const status = (line: string) => cannotRunReason(a.write("script", line, 0o755))?.status;
  assert.equal(status("#! /bin/sh -e\n"), undefined);
  assert.equal(status("#!/bin/sh"), undefined);
  assert.equal(status("#!/no/such/sh\n"), 127);
  assert.equal(status(`#!${plain}\n`), 126);
  assert.equal(status("echo #!/no/such/sh\n"), undefined);
});
