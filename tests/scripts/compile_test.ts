import assert from "node:assert/strict";
import { baseFailure, chooseBase, type Target } from "../../scripts/build/executable.ts";
import { Mistake } from "../../scripts/terminal.ts";

const x86: Target = "x86_64-unknown-linux-gnu";
const arm: Target = "aarch64-unknown-linux-gnu";

function choose(choice: Partial<Parameters<typeof chooseBase>[0]>) {
  const cacheDirectory = "/nonexistent";
  return chooseBase({
    wish: undefined,
    target: x86,
    environment: undefined,
    cacheDirectory,
    ...choice,
  });
}

async function refuses(choice: Parameters<typeof choose>[0], pattern: RegExp) {
  await assert.rejects(choose(choice), (error) => {
    assert.ok(error instanceof Mistake);
    assert.match(error.message, pattern);
    assert.equal(error.message.split("\n").length, 1);
    return true;
  });
}

Deno.test("the official base is the default, and DENORT_BIN goes before it", async () => {
  assert.deepEqual(await choose({}), { kind: "official" });
  assert.deepEqual(await choose({ environment: "" }), { kind: "official" });
  const here = Deno.build.target === arm ? arm : x86;
  const path = Deno.execPath();
  assert.deepEqual(await choose({ environment: path, target: here }), { kind: "DENORT_BIN", path });
});

Deno.test("an unusable base is reported before anything is built", async () => {
  await refuses(
    { environment: "/nonexistent" },
    /^cannot read DENORT_BIN \/nonexistent: NotFound$/,
  );
  await refuses({ environment: Deno.cwd() }, /^cannot read DENORT_BIN/);
  await refuses({ environment: "/etc/passwd" }, /no executable for x86_64/);
  const foreign = Deno.build.target === arm ? x86 : arm;
  await refuses({ environment: Deno.execPath(), target: foreign }, /no executable for/);
  await refuses({ wish: "official", environment: "/bin/sh" }, /unset it$/);
});

Deno.test("the innermost cause is shown when Deno cannot fetch its base", () => {
  const said = `deno compile failed:
error: Writing deno compile executable to temporary file 'a.tmp-1'

Caused by:
    0: Setting up base binary.
    1: error sending request for url (https://example.invalid/denort.zip): client error (Connect)
    2: failed to lookup address information: Name or service not known

Stack backtrace:
   0: <unknown>
`;
  assert.equal(
    baseFailure(said),
    "failed to lookup address information: Name or service not known",
  );
  assert.equal(baseFailure("error: Module not found"), undefined);
});
