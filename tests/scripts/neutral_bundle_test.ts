import assert from "node:assert/strict";
import { neutral } from "../../scripts/neutral_bundle.ts";

const mark = "//# sourceMappingURL=data:application/json;base64,";

function bundleFrom(cache: string): string {
  const map = {
    version: 3,
    sources: [`${cache}/npm/registry.example/a/1.0.0/b.js`, "../cli/main.ts"],
  };
  const text = btoa(JSON.stringify(map));
  return `// ${cache}/npm/registry.example/a/1.0.0/b.js\nf("// x/npm/y/z");\n// cli/main.ts\n${mark}${text}\n`;
}

Deno.test("a bundle tells nothing about the machine that made it", () => {
  const one = neutral(bundleFrom("../../root/.cache/deno"));
  assert.equal(one, neutral(bundleFrom("../.deno")));
  const [comment, code, own, map = ""] = one.split("\n");
  assert.equal(comment, "// npm/a/1.0.0/b.js");
  assert.equal(code, 'f("// x/npm/y/z");');
  assert.equal(own, "// cli/main.ts");
  const { sources } = JSON.parse(atob(map.slice(mark.length)));
  assert.deepEqual(sources, ["npm/a/1.0.0/b.js", "../cli/main.ts"]);
});

Deno.test("a bundle without a source map is left without one", () => {
  assert.equal(neutral("// cli/main.ts\nf();\n"), "// cli/main.ts\nf();\n");
});
