import assert from "node:assert/strict";
import fc from "fast-check";
import { parseKeyed } from "../../../core/parse/cgroupfs.ts";
import { fixture } from "./fixture.ts";

Deno.test("memory.events of a limit that was hit reads as the kernel wrote it", () => {
  assert.deepEqual([...parseKeyed(fixture("6.1-v2", "limited/memory.events"))], [
    ["low", "0"],
    ["high", "0"],
    ["max", "29248"],
    ["oom", "1716"],
    ["oom_kill", "8"],
    ["oom_group_kill", "1"],
  ]);
});

Deno.test("v1 memory.oom_control and memory.stat are flat keyed files too", () => {
  assert.deepEqual([...parseKeyed(fixture("6.18-v1", "victim/memory.oom_control"))], [
    ["oom_kill_disable", "0"],
    ["under_oom", "0"],
    ["oom_kill", "3"],
  ]);
  const stat = parseKeyed(fixture("6.18-v1", "victim/memory.stat"));
  assert.equal(stat.get("rss"), "4358144");
  assert.equal(stat.get("hierarchical_memory_limit"), "20971520");
  assert.equal(stat.get("hierarchical_memsw_limit"), "9223372036854771712");
});

Deno.test("a file of another form yields nothing", () => {
  assert.equal(parseKeyed(fixture("6.1-v2", "limited/memory.pressure")).size, 0);
  assert.equal(parseKeyed(fixture("6.1-v2", "limited/memory.current")).size, 0);
  assert.equal(parseKeyed(fixture("6.1-v2", "limited/memory.numa_stat")).get("anon"), "N0=4280320");
  assert.equal(parseKeyed("").size, 0);
});

Deno.test("a file cut anywhere never shows a value that the whole file does not have", () => {
  const text = fixture("6.1-v2", "victim/memory.stat");
  const whole = parseKeyed(text);
  for (let end = 0; end < text.length; end++) {
    for (const [key, value] of parseKeyed(text.slice(0, end))) assert.equal(value, whole.get(key));
  }
});

Deno.test("other lines are skipped, and a repeated key keeps its first value", () => {
  const text = "good 1\n\n 2\nkey\nkey \ntwo words 3\ngood 4\nlast 5\n";
  assert.deepEqual([...parseKeyed(text)], [["good", "1"], ["last", "5"]]);
});

Deno.test("arbitrary text never throws", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void parseKeyed(text)));
});

Deno.test("any text in this form reads back", () => {
  const word = fc.stringMatching(/^[^\s]+$/);
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(word, word), { selector: ([key]) => key }), (pairs) => {
      const text = pairs.map(([key, value]) => `${key} ${value}\n`).join("");
      assert.deepEqual([...parseKeyed(text)], pairs);
    }),
  );
});
