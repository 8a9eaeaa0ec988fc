import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "yaml";
import { toJson } from "../../../core/events/json.ts";
import { toYaml } from "../../../core/events/yaml.ts";

Deno.test("a document in YAML is in block style, and quotes only what needs it", () => {
  const document = {
    v: 1,
    targets: [{ cgroup: "/a/b", limit: Infinity, tree: [], flags: {}, kills: 2n ** 60n }, {
      cgroup: "/a b",
      comm: "no",
      nested: [[1, 2], ["x"]],
      gone: undefined,
    }],
  };
  assert.equal(
    toYaml(document),
    `v: 1
targets:
- cgroup: /a/b
  limit: null
  tree: []
  flags: {}
  kills: 1152921504606846976
- cgroup: "/a b"
  comm: "no"
  nested:
  - - 1
    - 2
  - - x
`,
  );
});

Deno.test("any document means the same in YAML as in JSON, and controls no terminal", () => {
  const examples: [fc.JsonValue][] = [[{ E0: "e-12" }]];
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = toYaml(value);
      for (const version of ["1.1", "1.2"] as const) {
        assert.deepEqual(parse(text, { version }), JSON.parse(toJson(value)));
      }
      // deno-lint-ignore no-control-regex
      assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]/);
    }),
    { examples },
  );
});
