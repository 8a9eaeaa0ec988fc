import assert from "node:assert/strict";
import { offences, rooms, sources } from "../../scripts/layers.ts";

/** One file, or several, must give exactly these offences, each given by its beginning. */
function gives(files: Record<string, string>, ...expected: string[]) {
  const found = offences(files);
  assert.equal(found.length, expected.length, found.join("\n"));
  expected.forEach((start, index) => assert.ok(found[index]?.startsWith(start), found[index]));
}

Deno.test("core may not import cli, and the offence names the place and the allowed rooms", () => {
  gives(
    {
      "core/watch/watch.ts": 'import { a } from "./arm.ts";\nimport b from "../../cli/main.ts";\n',
    },
    "core/watch/watch.ts:2: core/watch imports cli/main.ts; besides itself it may import core/parse",
  );
});

Deno.test("the unsafe room is open to four rooms only", () => {
  const text = 'import { libc } from "../kernel/libc.ts";\n';
  for (const room of ["cgroup", "watch", "control", "simulate"]) {
    gives({ [`core/${room}/a.ts`]: text });
  }
  for (const room of ["parse", "policy", "events"]) {
    gives({ [`core/${room}/a.ts`]: text }, `core/${room}/a.ts:1: core/${room} imports core/kernel`);
  }
  gives(
    { "cli/a.ts": 'import "../core/kernel/libc.ts";\n' },
    "cli/a.ts:1: cli imports core/kernel",
  );
});

Deno.test("a type import counts, over several lines, and as a call", () => {
  gives(
    { "core/policy/a.ts": '\nimport type {\n  A,\n  B,\n} from "../cgroup/a.ts";\n' },
    "core/policy/a.ts:5: core/policy imports core/cgroup/a.ts",
  );
  gives({ "core/parse/a.ts": 'const a: import("../control/a.ts").A = 1;\n' }, "core/parse/a.ts:1:");
  gives({ "core/parse/a.ts": 'export { b } from "../control/a.ts";\n' }, "core/parse/a.ts:1:");
  gives(
    { "cli/a.ts": 'new Worker(new URL("../core/kernel/a.ts", import.meta.url));' },
    "cli/a.ts:1:",
  );
});

Deno.test("a file with rules of its own is still part of its directory", () => {
  gives({ "core/cgroup/version.ts": 'import { v1 } from "./v1.ts";\n' });
  gives({ "core/cgroup/v1.ts": 'import { a } from "./version.ts";\n' });
  gives({ "core/cgroup/v1.ts": "Deno.cwd();\n" }, "core/cgroup/v1.ts:1: core/cgroup/v1.ts is pure");
  gives({ "core/cgroup/files.ts": "Deno.cwd();\n" });
});

Deno.test("comments, strings and regular expressions are not code", () => {
  gives({
    "core/parse/a.ts": [
      "// Deno.cwd()",
      "/** Deno.cwd()",
      ' * import "../control/a.ts" */',
      'const glob = "/kubepods/**";',
      "const quote = /[\"'/]/, path = 'Deno';",
      "",
    ].join("\n"),
  });
  gives(
    { "core/parse/a.ts": 'const glob = "/**"; const a = 4 / 2; Deno.cwd(); // "*/"\n' },
    "core/parse/a.ts:1: core/parse is pure and names Deno",
  );
  gives({ "core/parse/a.ts": "`${Deno.cwd()}`" }, "core/parse/a.ts:1: core/parse is pure");
});

Deno.test("a pure room imports no package that reaches out of the process", () => {
  gives({ "core/policy/a.ts": 'import { join } from "node:path";\n' });
  gives(
    { "core/policy/a.ts": 'import { readFileSync } from "node:fs";\n' },
    "core/policy/a.ts:1: core/policy is pure and imports node:fs",
  );
});

Deno.test("the process, the unsafe calls and the packages have homes", () => {
  gives({
    "cli/main.ts": "Deno.exit(Deno.args.length);\n",
    "core/kernel/libc.ts": "Deno.dlopen();\n",
  });
  gives(
    { "cli/watch/command.ts": "Deno.exit(1);\n" },
    "cli/watch/command.ts:1: Deno.exit in cli; it belongs to",
  );
  gives(
    { "core/control/a.ts": "new Deno.UnsafePointerView(p);\n" },
    "core/control/a.ts:1: Deno.UnsafePointer",
  );
  gives(
    { "core/control/a.ts": 'import "commander";\n' },
    "core/control/a.ts:1: core/control imports commander",
  );
  gives({ "cli/a.ts": 'import "ajv";\n' }, "cli/a.ts:1: cli imports ajv");
});

Deno.test("the program may not import tests and scripts, which may import anything", () => {
  gives({ "cli/a.ts": 'import "../scripts/bundle.ts";\n' }, "cli/a.ts:1: cli imports scripts/");
  gives({ "tests/a_test.ts": 'import "../core/kernel/libc.ts";\nDeno.exit();\n' });
  gives({ "cli/version.ts": 'import config from "../deno.json" with { type: "json" };\n' });
});

Deno.test("imports that form a circle are named, also of types and dynamic ones", () => {
  gives(
    {
      "core/watch/a.ts": 'import type { B } from "./b.ts";\n',
      "core/watch/b.ts": 'const c = await import("./c.ts");\n',
      "core/watch/c.ts": 'export { a } from "./a.ts";\n',
      "core/watch/d.ts": 'import { a } from "./a.ts";\n',
    },
    "core/watch/a.ts:1: imports form a circle: core/watch/a.ts, core/watch/b.ts, core/watch/c.ts",
  );
});

Deno.test("only core/cgroup asks for the cgroup version", () => {
  const text = "if (hierarchy.version.number === 1) a();\n";
  gives({ "core/cgroup/a.ts": text, "tests/a.ts": text });
  gives({ "core/guard/a.ts": text }, "core/guard/a.ts:1: asks for the cgroup version");
  gives({ "core/guard/a.ts": "return hierarchy === 2 && a;\n" }, "core/guard/a.ts:1: asks for");
  gives({ "cli/a.ts": "const isV2 = version !== 1;\n" }, "cli/a.ts:1: asks for the cgroup version");
});

Deno.test("a file name must say something", () => {
  gives({ "core/control/utils.ts": "" }, "core/control/utils.ts:1: the name says nothing");
});

Deno.test("the JavaScript of the pages is checked too", () => {
  const paths = Object.keys(sources("core/picture"));
  for (const end of ["page/main.js", "picture.ts"]) {
    assert.ok(paths.some((path) => path.endsWith(end)), end);
  }
});

Deno.test("every rule names existing rooms", () => {
  const known = rooms.map((room) => room.at);
  for (const room of rooms) {
    for (const other of room.imports) assert.ok(known.includes(other), `${room.at}: ${other}`);
  }
});
