import assert from "node:assert/strict";
import fc from "fast-check";
import { parsePlacing, parseProcStat, parseTerminalGroups } from "../../../core/parse/procfs.ts";
import { fixture } from "./fixture.ts";

Deno.test("a live process reads as the kernel wrote it, its hostile name included", () => {
  assert.deepEqual(parseProcStat(fixture("6.18-v1", "proc/stat")), {
    pid: 14839,
    comm: "a) Z 1 (b\n\\c",
    state: "S",
    ppid: 14731,
    startTime: 184749n,
  });
  assert.equal(parseProcStat(fixture("6.1-v2", "proc/stat"))?.startTime, 2591n);
});

Deno.test("a cut text is not a process", () => {
  const text = fixture("6.18-v1", "proc/stat");
  const end = text.indexOf(" 184749 ") + " 184749".length;
  for (let kept = 0; kept <= end; kept++) {
    assert.equal(parseProcStat(text.slice(0, kept)), undefined);
  }
});

Deno.test("arbitrary text never throws", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void parseProcStat(text)));
});

Deno.test("any name reads back, one that imitates the rest of the line included", () => {
  const comm = fc.oneof(
    fc.string({ unit: "binary", maxLength: 15 }),
    fc.string({ unit: fc.constantFrom(")", "(", " ", "Z", "1"), maxLength: 15 }),
  );
  const startTime = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  fc.assert(fc.property(comm, fc.nat(), fc.nat(), startTime, (comm, pid, ppid, startTime) => {
    const between = Array(17).fill("-1").join(" ");
    const text = `${pid} (${comm}) S ${ppid} ${between} ${startTime} 6864896 1484\n`;
    assert.deepEqual(parseProcStat(text), { pid, comm, state: "S", ppid, startTime });
  }));
});

Deno.test("the last CPU and the policy are found after any comm, and not in a cut text", () => {
  const text = fixture("6.18-v1", "proc/stat");
  const fields = text.slice(text.lastIndexOf(")")).split(" ");
  const placing = { cpu: Number(fields[37]), isRealtime: false };
  assert.deepEqual(parsePlacing(text), placing);
  assert.deepEqual(parsePlacing(text.replace(/\(.*\)/, "() Z 1 (a b c)")), placing);
  const realtime = [...fields.slice(0, 39), "1", ...fields.slice(40)].join(" ");
  assert.deepEqual(parsePlacing(`7 (p${realtime}`), { ...placing, isRealtime: true });
  assert.equal(parsePlacing(text.slice(0, 60)), undefined);
  assert.equal(parsePlacing(""), undefined);
});

Deno.test("parent, process group, session and foreground group are found after any comm, and not in a cut text", () => {
  const text = fixture("6.18-v1", "proc/stat");
  const fields = text.slice(text.lastIndexOf(")")).split(" ");
  const groups = {
    parent: Number(fields[2]),
    own: Number(fields[3]),
    session: Number(fields[4]),
    foreground: Number(fields[6]),
  };
  assert.deepEqual(parseTerminalGroups(text), groups);
  assert.deepEqual(parseTerminalGroups(text.replace(/\(.*\)/, "() Z 1 (a b c)")), groups);
  assert.deepEqual(parseTerminalGroups("7 (p) S 1 7 7 34816 -1 4194560"), {
    parent: 1,
    own: 7,
    session: 7,
    foreground: -1,
  });
  assert.equal(parseTerminalGroups("7 (p) S 1 7"), undefined);
  assert.equal(parseTerminalGroups(""), undefined);
});
