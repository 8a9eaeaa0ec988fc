import assert from "node:assert/strict";
import { neutralBundle } from "../../scripts/build/bundle.ts";

/** As the bundler makes it where packages are cached in `cache`. */
function bundleFrom(cache: string, hash: string) {
  const path = `${cache}/npm/registry.example/a/1.0.0/b.js`;
  const map = { version: 3, sources: [path, "../cli/main.ts"], sourcesContent: ["b", "m"] };
  return {
    "entry.js":
      `// dist/build-${hash}/entry.ts\nawait import("./later-${hash}.js");\n//# sourceMappingURL=entry.js.map\n`,
    [`later-${hash}.js`]:
      `// ${path}\nf("// x/npm/y/z", "./no.js");\n//# sourceMappingURL=later-${hash}.js.map\n`,
    [`later-${hash}.js.map`]: JSON.stringify(map),
    "forgotten.js": "",
  };
}

Deno.test("a bundle contains nothing about the machine that made it", () => {
  const files = neutralBundle(bundleFrom("../../root/.cache/deno", "ABCDEFG1"), "entry.js");
  assert.deepEqual(files, neutralBundle(bundleFrom("../.deno", "2BCDEFGH"), "entry.js"));
  assert.deepEqual(files, {
    "entry.js": '// entry.ts\nawait import("./later-1.js");\n//# sourceMappingURL=entry.js.map\n',
    "later-1.js":
      '// npm/a/1.0.0/b.js\nf("// x/npm/y/z", "./no.js");\n//# sourceMappingURL=later-1.js.map\n',
    "later-1.js.map": '{"version":3,"sources":["npm/a/1.0.0/b.js","../cli/main.ts"]}',
  });
});

Deno.test("a file shared by two parts is renamed once, wherever it is named", () => {
  const files = neutralBundle({
    "entry.js": 'import("./one-AAAAAAAA.js"); import("./two-BBBBBBBB.js");',
    "one-AAAAAAAA.js": 'import { x } from "./chunk-CCCCCCCC.js";',
    "two-BBBBBBBB.js": 'import "./chunk-CCCCCCCC.js";\nimport "./one-AAAAAAAA.js";',
    "chunk-CCCCCCCC.js": "export const x = 1;",
  }, "entry.js");
  assert.deepEqual(files, {
    "entry.js": 'import("./one-1.js"); import("./two-2.js");',
    "one-1.js": 'import { x } from "./chunk-3.js";',
    "two-2.js": 'import "./chunk-3.js";\nimport "./one-1.js";',
    "chunk-3.js": "export const x = 1;",
  });
});
