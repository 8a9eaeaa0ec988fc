import assert from "node:assert/strict";
import { chosenCombinations } from "../../scripts/test_stages/kernel_matrix.ts";
import { namesInBrief } from "../../scripts/test_stages/kernels.ts";

const DAY = 24 * 60 * 60 * 1000;
const named = (names: string | undefined, now = 0) =>
  chosenCombinations(names, now).map(({ version, release, architecture = "" }) =>
    `${version}-${release}${architecture && `-${architecture}`}`
  );
const daily = ["v2-5.10", "v2-6.1", "v2-6.12", "v1-5.10", "v1-6.1"];

Deno.test("each day has one combination, and five days have all of them", () => {
  const start = Date.UTC(2026, 0, 1);
  const days = [0, 1, 2, 3, 4].flatMap((day) => named(undefined, start + day * DAY));
  assert.deepEqual(days.toSorted(), daily.toSorted());
  assert.deepEqual(named(undefined, start + DAY - 1), named(undefined, start));
  assert.deepEqual(named("", start + 5 * DAY), named(undefined, start));
});

Deno.test("combinations are chosen by name, in the given order, or all together", () => {
  assert.deepEqual(named("all"), [...daily, "v2-6.1-arm64"]);
  assert.deepEqual(named("v1-6.1,v2-5.10"), ["v1-6.1", "v2-5.10"]);
});

Deno.test("an unknown combination is refused, with the known ones", () => {
  assert.throws(
    () => named("v2-5.10,v1-6.12"),
    /^Mistake: cannot test on "v1-6.12" of OOMKIT_TEST_KERNELS: it must be all, v2-5.10, .*v1-6.1, v2-6.1-arm64$/,
  );
});

Deno.test("each test that is chosen by name exists", () => {
  const sources = ["history", "inspect", "simulate", "watch", "watch_command", "watch_group"].map((
    name,
  ) => Deno.readTextFileSync(`tests/kernel/${name}_test.ts`)).join("");
  for (const name of namesInBrief) {
    assert.ok(sources.includes(`"${name}`), name);
    assert.match(name, /^[\w ,]+$/, "part of a regular expression as it is");
  }
});
