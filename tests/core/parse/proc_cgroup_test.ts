import assert from "node:assert/strict";
import fc from "fast-check";
import { parseProcCgroup } from "../../../core/parse/procfs.ts";
import { fixture } from "./fixture.ts";

Deno.test("all lines of a hybrid machine are read, including the named hierarchy and v2", () => {
  const lines = parseProcCgroup(fixture("6.18-v1", "proc/cgroup"));
  assert.equal(lines.length, 10);
  assert.deepEqual(lines[0], {
    hierarchyId: 9,
    controllers: ["name=systemd"],
    path: "/",
  });
  assert.deepEqual(lines.find(({ controllers }) => controllers.includes("memory")), {
    hierarchyId: 4,
    controllers: ["memory"],
    path: "/oomkit-capture/victim",
  });
  assert.deepEqual(lines[9], { hierarchyId: 0, controllers: [], path: "/" });
});

Deno.test("v2 has one line without controllers", () => {
  assert.deepEqual(parseProcCgroup(fixture("6.1-v2", "proc/cgroup")), [
    { hierarchyId: 0, controllers: [], path: "/oomkit-capture/victim" },
  ]);
});

Deno.test("controllers mounted together are separated, and colons stay in the path", () => {
  assert.deepEqual(parseProcCgroup("3:cpu,cpuacct:/a:/kubepods-podx.slice:cri-containerd:1\n"), [
    {
      hierarchyId: 3,
      controllers: ["cpu", "cpuacct"],
      path: "/a:/kubepods-podx.slice:cri-containerd:1",
    },
  ]);
});

Deno.test("the path of a removed cgroup and one outside the namespace are kept as written", () => {
  const [line] = parseProcCgroup("0::/../../a b (deleted)\n");
  assert.deepEqual(line, { hierarchyId: 0, controllers: [], path: "/../../a b (deleted)" });
});

Deno.test("other line separators than a newline are part of the name", () => {
  for (const odd of ["\r", "\u2028", "\u2029"]) {
    assert.equal(parseProcCgroup(`0::/a${odd}b\n`)[0]?.path, `/a${odd}b`);
  }
});

Deno.test("lines of another form are skipped", () => {
  assert.deepEqual(parseProcCgroup("\n0:\n0::\n0::relative\n:memory:/a\nx:memory:/a\n"), []);
});

Deno.test("arbitrary text never throws", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void parseProcCgroup(text)));
});

Deno.test("any cgroup name but one with a newline reads back", () => {
  const line = fc.record({
    hierarchyId: fc.nat({ max: 99 }),
    controllers: fc.uniqueArray(fc.constantFrom("memory", "cpu", "pids", "name=a.b"), {
      maxLength: 3,
    }),
    path: fc.string({ unit: "grapheme" }).map((name) => `/${name.replaceAll("\n", "")}`),
  }, { noNullPrototype: true });
  fc.assert(fc.property(fc.array(line), (lines) => {
    const text = lines.map(({ hierarchyId, controllers, path }) =>
      `${hierarchyId}:${controllers.join(",")}:${path}\n`
    ).join("");
    assert.deepEqual(parseProcCgroup(text), lines);
  }));
});

Deno.test("a torn path is ignored: it would be an ancestor's", () => {
  assert.deepEqual(parseProcCgroup("0::/kubepods/burst"), []);
});
