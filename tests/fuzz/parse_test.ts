/** Truncated and garbled kernel files: a parser may yield less, but never other values. */

import assert from "node:assert/strict";
import { parseCount, parseKeyed, parseLimit, parsePressure } from "../../core/parse/cgroupfs.ts";
import { parseMountinfo } from "../../core/parse/mountinfo.ts";
import {
  parseCmdline,
  parseKilobytes,
  parseMeminfo,
  parsePlacing,
  parseProcCgroup,
  parseProcStat,
  parseProcStatus,
} from "../../core/parse/procfs.ts";
import { fixture, KERNELS } from "../core/parse/fixture.ts";
import { fc } from "./cases.ts";

type Facts = ReadonlyMap<string, unknown>;

const factsOf = (found: object | undefined): Facts => new Map(Object.entries(found ?? {}));
const listed = (found: readonly object[]): Facts =>
  new Map(found.map((each, at) => [String(at), each]));

/** Each file with its parser; the result is a map of values. */
const readers: readonly (readonly [file: string, read: (text: string) => Facts])[] = [
  ["victim/memory.stat", parseKeyed],
  ["proc/pressure/memory", (text) => factsOf(parsePressure(text))],
  ["proc/meminfo", (text) => factsOf(parseMeminfo(text))],
  ["proc/status", (text) => factsOf(statusFacts(text))],
  ["proc/stat", (text) => factsOf(parseProcStat(text))],
  ["proc/stat", (text) => factsOf(parsePlacing(text))],
  ["proc/cgroup", (text) => listed(parseProcCgroup(text))],
  ["proc/mountinfo", (text) => listed(parseMountinfo(text))],
];

/** An empty list means unknown. */
function statusFacts(text: string): object {
  const { nsPids, ...rest } = parseProcStatus(text);
  return nsPids.length === 0 ? rest : { nsPids, ...rest };
}

const texts = readers.flatMap(([file, read]) =>
  KERNELS.map((kernel) => ({ file, read, text: fixture(kernel, file) }))
);

Deno.test("a file that is cut off anywhere yields less, and nothing that the whole file does not", () => {
  const cut = fc.constantFrom(...texts).chain((each) =>
    fc.nat(each.text.length).map((end) => ({ ...each, end }))
  );
  fc.assert(fc.property(cut, ({ file, read, text, end }) => {
    const whole = read(text);
    for (const [key, value] of read(text.slice(0, end))) {
      assert.deepEqual(value, whole.get(key), `${file} cut at ${end}: ${key}`);
    }
  }));
});

Deno.test("a file with one garbled line yields all the others as before", () => {
  const linewise = texts.filter(({ file }) => file !== "proc/stat" && file !== "proc/status");
  const garbled = fc.constantFrom(...linewise).chain((each) => {
    const lines = each.text.split("\n").slice(0, -1);
    return fc.record({
      each: fc.constant(each),
      lines: fc.constant(lines),
      at: fc.nat(lines.length - 1),
      // Any line that is not well formed.
      garbage: fc.string({ unit: fc.constantFrom("\0", "\t", "é", "#", "\u2028") }),
    });
  });
  fc.assert(fc.property(garbled, ({ each: { file, read, text }, lines, at, garbage }) => {
    const whole = [...read(text).values()];
    const others = [
      ...read(lines.toSpliced(at, 1, garbage).map((l) => `${l}\n`).join("")).values(),
    ];
    const missing = whole.filter((fact) => !others.some((other) => isSame(other, fact)));
    assert.ok(missing.length <= 1, `${file}: ${missing.length} facts are gone`);
    assert.ok(others.every((other) => whole.some((fact) => isSame(other, fact))), file);
  }));
});

function isSame(one: unknown, other: unknown): boolean {
  const written = (value: unknown) =>
    JSON.stringify(value, (_, each) => typeof each === "bigint" ? `${each}n` : each);
  return written(one) === written(other);
}

Deno.test("bytes that the kernel would not write never make a parser throw", () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.string({ unit: "binary", maxLength: 4 })), {
    maxLength: 5,
  });
  fc.assert(fc.property(fc.constantFrom(...texts), changes, ({ read, text }, changes) => {
    let changed = text;
    for (const [at, put] of changes) {
      const here = at % (changed.length + 1);
      changed = changed.slice(0, here) + put + changed.slice(here + put.length);
    }
    read(changed);
  }));
});

Deno.test("a size is a whole number that is not negative, or Infinity, or unknown, in any file", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom(..."0123456789 -+.eEmaxkB\n\t") }),
    fc.bigInt({ min: -1n, max: 2n ** 70n }).map(String),
    fc.bigInt({ min: 0n, max: 10n ** 20n }).map((kilobytes) => `   ${kilobytes} kB`),
  );
  fc.assert(fc.property(text, (text) => {
    for (const value of [parseLimit(text), parseKilobytes(text)]) {
      assert.ok(value === undefined || value === Infinity || (value >= 0 && value % 1 === 0));
    }
    const count = parseCount(text);
    if (count !== undefined) assert.equal(count, BigInt(text.trim()));
  }));
});

Deno.test("kilobytes are exact up to the largest safe integer", () => {
  fc.assert(fc.property(fc.nat({ max: 2 ** 43 - 1 }), fc.nat(20), (kilobytes, blanks) => {
    assert.equal(parseKilobytes(`${" ".repeat(blanks)}${kilobytes} kB`), kilobytes * 1024);
  }));
});

Deno.test("a command line of any bytes has no argument with a NUL and no empty last argument", () => {
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom("\0", "a", " ", "é") }), (text) => {
    const words = parseCmdline(text);
    assert.ok(words.every((word) => !word.includes("\0")));
    assert.notEqual(words.at(-1), "");
    assert.ok(text.startsWith(words.join("\0")));
  }));
});
