import assert from "node:assert/strict";
import { openControlFile } from "../../../core/kernel/control_file.ts";
import { libc, SystemCallError } from "../../../core/kernel/libc.ts";

// Loads the library before the tests: it stays loaded, which within a test would count as a leak.
libc();

interface Scratch extends Disposable {
  readonly path: string;
}

function scratch(): Scratch {
  const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  return {
    path: `${dir}/memory.current`,
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
}

Deno.test("a file that stays open shows its current text, from the beginning", () => {
  using file = scratch();
  Deno.writeTextFileSync(file.path, "4096\n");
  using kept = openControlFile(file.path);
  assert.equal(kept.number(), 4096);
  assert.equal(kept.text(), "4096\n");
  Deno.writeTextFileSync(file.path, "17\n");
  assert.equal(kept.number(), 17);
});

Deno.test("a size is exact up to 2^53, and unknown from 2^62 on and for other text", () => {
  using file = scratch();
  const cases: [string, number | undefined][] = [
    ["9007199254740992\n", 2 ** 53],
    ["0\n", 0],
    ["max\n", undefined],
    ["4611686018427387000\n", 4611686018427387000],
    ["4611686018427387904\n", undefined],
    ["", undefined],
    ["-1\n", undefined],
    ["18446744073709543424\n", undefined],
    // The beginning of another number, or text that no kernel writes.
    ["6710", undefined],
    ["ma", undefined],
    ["max", undefined],
    ["maximum\n", undefined],
    ["12x\n", undefined],
    ["12\n34\n", undefined],
    ["\n", undefined],
    ["999999999999999999999\n", undefined],
  ];
  for (const [text, number] of cases) {
    Deno.writeTextFileSync(file.path, text);
    using kept = openControlFile(file.path);
    assert.equal(kept.number(), number, JSON.stringify(text));
  }
});

Deno.test("a missing file is a SystemCallError", () => {
  using file = scratch();
  assert.throws(() => openControlFile(file.path), SystemCallError);
});

Deno.test("a FIFO does not block, and has no number", () => {
  using file = scratch();
  assert.ok(new Deno.Command("mkfifo", { args: [file.path] }).outputSync().success);
  // A blocking system call stops the whole process, so only another process can end it.
  const module = new URL("../../../core/kernel/control_file.ts", import.meta.url);
  const code = `import { openControlFile } from "${module}";
    console.log(openControlFile("${file.path}").number());`;
  const { stdout } = new Deno.Command("timeout", {
    args: ["20", Deno.execPath(), "eval", "--no-check", "--quiet", code],
    env: { NO_COLOR: "1" },
  }).outputSync();
  assert.equal(new TextDecoder().decode(stdout), "undefined\n");
});
