/** Holds docs/schema/inspect.schema.json to core/cgroup/fields.ts. */

import assert from "node:assert/strict";
import {
  COUNTERS,
  type Field,
  filesOf,
  FLAGS,
  KEYED_FILES,
  LIMITS,
  SIZES,
  STATS,
} from "../../../core/cgroup/fields.ts";
import schema from "../../../docs/schema/inspect.schema.json" with { type: "json" };

const { target, counters } = schema.$defs;

const jsonNames = (table: Readonly<Record<string, Field>>) =>
  Object.values(table).flatMap(({ json }) => json ?? []);

const refOf = (property: unknown) => (property as { $ref?: string }).$ref;

const GROUPS = [
  { title: "limits", table: LIMITS, group: target.properties.limits, ref: "#/$defs/limit" },
  { title: "stats", table: STATS, group: target.properties.memory, ref: "#/$defs/bytes" },
  { title: "counters", table: COUNTERS, group: counters, ref: "#/$defs/count" },
];

for (const { title, table, group, ref } of GROUPS) {
  Deno.test(`the schema has the ${title} of the table and no other, all required`, () => {
    assert.deepEqual(Object.keys(group.properties), jsonNames(table));
    assert.deepEqual(group.required, jsonNames(table));
    for (const [name, property] of Object.entries(group.properties)) {
      assert.equal(refOf(property), ref, name);
    }
  });
}

Deno.test("the schema of a target requires the sizes and flags of the table and no other flag", () => {
  const properties: Readonly<Record<string, unknown>> = target.properties;
  for (const name of [...jsonNames(SIZES), ...jsonNames(FLAGS)]) {
    assert.ok(target.required.includes(name), name);
  }
  for (const name of jsonNames(SIZES)) assert.equal(refOf(properties[name]), "#/$defs/bytes", name);
  const flags = Object.keys(properties)
    .filter((name) => refOf(properties[name]) === "#/$defs/flag");
  assert.deepEqual(flags, jsonNames(FLAGS));
  const derived = ["working_set", "reclaimable"];
  const sizes = Object.keys(properties)
    .filter((name) => refOf(properties[name]) === "#/$defs/bytes" && !derived.includes(name));
  assert.deepEqual(sizes, jsonNames(SIZES));
});

Deno.test("no two fields have the same source, JSON name or label", () => {
  for (const table of [SIZES, LIMITS, STATS, COUNTERS, FLAGS]) {
    const rows: Field[] = Object.values(table);
    for (const key of ["v1", "v2", "json", "label"] as const) {
      const values = rows.map((row) => row[key]?.toString()).filter((value) => value !== undefined);
      assert.equal(new Set(values).size, values.length, `${key}: ${values}`);
    }
  }
});

Deno.test("files that hold one value and files with keys are distinguished", () => {
  assert.ok(KEYED_FILES.has("memory.stat") && KEYED_FILES.has("memory.oom_control"));
  assert.ok(!KEYED_FILES.has("memory.max"));
  assert.deepEqual(filesOf(LIMITS).filter((file) => KEYED_FILES.has(file)), ["memory.stat"]);
});
