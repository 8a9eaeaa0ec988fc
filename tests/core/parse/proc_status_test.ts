import assert from "node:assert/strict";
import fc from "fast-check";
import { parseKilobytes } from "../../../core/parse/procfs.ts";
import { parseProcStatus } from "../../../core/parse/procfs.ts";
import { fixture } from "./fixture.ts";

const USR1 = 1n << 9n;

Deno.test("a live process reads as the kernel wrote it, its hostile name included", () => {
  const status = parseProcStatus(fixture("6.18-v1", "proc/status"));
  assert.deepEqual(status, {
    name: "a) Z 1 (b\n\\c",
    state: "S",
    ppid: 14731,
    uid: 0,
    nsPids: [14839],
    rss: 5932 * 1024,
    swap: 0,
    pageTables: 52 * 1024,
    caughtSignals: 0x10200n,
  });
  assert.equal(status.caughtSignals! & USR1, USR1, "the process had a trap for SIGUSR1");
});

Deno.test("an older kernel's process reads the same way", () => {
  const status = parseProcStatus(fixture("6.1-v2", "proc/status"));
  assert.equal(status.rss, 5820 * 1024);
  assert.deepEqual(status.nsPids, [212]);
});

Deno.test("a process in nested pid namespaces has a pid for each, outermost first", () => {
  assert.deepEqual(parseProcStatus("NSpid:\t4711\t12\t1\n").nsPids, [4711, 12, 1]);
});

Deno.test("the real uid is taken, not the effective one", () => {
  assert.equal(parseProcStatus("Uid:\t1000\t0\t0\t0\n").uid, 1000);
});

Deno.test("a kernel thread or zombie has no sizes instead of zeros", () => {
  const status = parseProcStatus(
    "Name:\tkthreadd\nState:\tZ (zombie)\nPPid:\t0\nSigCgt:\t0000000000000000\n",
  );
  assert.deepEqual(status, {
    name: "kthreadd",
    state: "Z",
    ppid: 0,
    nsPids: [],
    caughtSignals: 0n,
  });
});

Deno.test("kilobytes in another form are unknown", () => {
  for (const text of [undefined, "", " kB", "12", "12 KB", "-1 kB", "1.5 kB", "12 kB x"]) {
    assert.equal(parseKilobytes(text), undefined);
  }
});

Deno.test("arbitrary text never throws", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void parseProcStatus(text)));
});

Deno.test("any name reads back, and cannot pretend to be another line", () => {
  const escape = (name: string) =>
    name.replace(/[\\\n]/g, (char) => char === "\n" ? "\\n" : "\\\\");
  const name = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.string({ unit: fc.constantFrom("\\", "n", "\n", ":", "\t") }),
    fc.constant("x\nPPid:\t1"),
  );
  fc.assert(fc.property(name, fc.nat(), (name, ppid) => {
    const status = parseProcStatus(`Name:\t${escape(name)}\nUmask:\t0022\nPPid:\t${ppid}\n`);
    assert.deepEqual([status.name, status.ppid], [name, ppid]);
  }));
});

Deno.test("a torn last line is skipped: a torn mask would name other signals", () => {
  const whole = "PPid:\t1\nSigCgt:\t0000000000000200\n";
  assert.equal(parseProcStatus(whole).caughtSignals, 0x200n);
  const torn = parseProcStatus(whole.slice(0, -3));
  assert.equal(torn.caughtSignals, undefined);
  assert.equal(torn.ppid, 1);
});
