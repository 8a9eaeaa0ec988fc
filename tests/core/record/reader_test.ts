import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { OomkitError } from "../../../core/errors.ts";
import { makeDirectory } from "../../helpers/directory.ts";
import { cgroup, head, readAll, snapshots, textOf } from "./recording.ts";

const whole = [head, cgroup, ...snapshots(50), { type: "end", at: 2_000_000, reason: "ended" }];
const bytes = new TextEncoder().encode(textOf(whole));
/** Several members, as the writer makes them. */
const firstMember = gzipSync(textOf(whole.slice(0, 20)));
const packed = new Uint8Array([...firstMember, ...gzipSync(textOf(whole.slice(20)))]);

for (const [name, content] of [["plain", bytes], ["compressed", packed]] as const) {
  Deno.test(`a recording that is ${name} is read as it was written, and up to the cut when it is truncated`, async () => {
    using directory = makeDirectory();
    const path = `${directory.path}/r`;
    Deno.writeFileSync(path, content);
    assert.deepEqual(await readAll(path), whole);
    await fc.assert(
      fc.asyncProperty(fc.nat(content.length - 1), async (length) => {
        Deno.writeFileSync(path, content.subarray(0, length));
        let read: unknown[];
        try {
          read = await readAll(path);
        } catch (error) {
          // Too little of the first line is left to recognize it.
          assert.ok(error instanceof OomkitError);
          assert.ok(length < 450, `${length}: ${error.message}`);
          return;
        }
        assert.deepEqual(read, whole.slice(0, read.length));
        const complete = name === "plain"
          ? textOf(whole).slice(0, length).split("\n").length - 1
          : length < firstMember.length
          ? 0
          : 20;
        assert.ok(read.length >= complete, `${read.length} of ${complete} lines`);
      }),
      { numRuns: 60 },
    );
  });
}

Deno.test("a compressed recording that is cut before its first line is not said to be empty", async () => {
  using directory = makeDirectory();
  const path = `${directory.path}/r.gz`;
  Deno.writeFileSync(path, packed.subarray(0, 12));
  await assert.rejects(readAll(path), /r\.gz: the compressed file is cut before its first line/);
});

Deno.test("reading any file ends in lines or in one line that says why not", async () => {
  using directory = makeDirectory();
  const path = `${directory.path}/r`;
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.array(fc.json(), { maxLength: 5 }).map((lines) =>
      new TextEncoder().encode(lines.join("\n"))
    ),
    fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)).map(([at, byte]) => bytes.with(at, byte)),
    fc.tuple(fc.nat(packed.length - 1), fc.nat(255)).map(([at, byte]) => packed.with(at, byte)),
  );
  await fc.assert(
    fc.asyncProperty(garbage, async (content) => {
      Deno.writeFileSync(path, content);
      try {
        assert.equal((await readAll(path))[0]?.type, "recording");
      } catch (error) {
        assert.ok(error instanceof OomkitError, String(error));
        assert.match(error.message, /^cannot read .*\/r/);
        assert.ok(!error.message.includes("\n"));
      }
    }),
    { numRuns: 300 },
  );
});

const broken: readonly (readonly [string, readonly unknown[] | string, RegExp])[] = [
  ["is empty", "", /cannot read .*: it is empty/],
  ["is something else", "a,b\n1,2\n", /line 1: it is not JSON/],
  ["is something else in JSON", '{"a":1}\n', /line 1: it is not a line of a recording/],
  ["begins with something else", [cgroup], /line 1: it is not the head of a recording/],
  ["begins twice", [head, head], /line 2: it is a second head/],
  ["is of a later version", [{ ...head, v: 3 }], /line 1: it has version 3.*reads version 2/],
  [
    "is of an earlier version",
    [{ ...head, v: 1 }],
    /line 1: it has version 1.*reads version 2; use the oomkit that wrote it$/,
  ],
  ["has no version", [{ ...head, v: "1" }], /line 1: its "v" is not valid for recording/],
  ["describes no cgroup", [head, ...snapshots(1)], /line 2: cgroup 1 is not described before it/],
  ["continues after its end", [...whole, cgroup], /line 54: it follows the line end/],
  [
    "has a broken line in the middle",
    `${textOf([head])}{"type"\n${textOf([cgroup])}`,
    /line 2: it is not JSON/,
  ],
  [
    "has a negative usage",
    [head, cgroup, { ...snapshots(1)[0], usage: -1 }],
    /line 3: its "usage"/,
  ],
  [
    "has too many levels",
    [head, cgroup, { ...snapshots(1)[0], levels: Array(400_000).fill("warn") }],
    /line 3: its "levels"/,
  ],
  [
    "has an invalid time",
    [head, { ...cgroup, at: "now" }],
    /line 2: its "at" is not valid for cgroup/,
  ],
  [
    "has a field from a prototype",
    `${textOf([head])}{"type":"end","at":1,"__proto__":{"reason":"ended"}}\n\n`,
    /line 2: its "reason" is not valid for end/,
  ],
  [
    "has a line that is too long",
    `${textOf([head])}${"x".repeat(17 * 1024 ** 2)}`,
    /line 2: it is longer/,
  ],
];

for (const [what, content, expected] of broken) {
  Deno.test(`a recording that ${what} is refused with the line`, async () => {
    using directory = makeDirectory();
    const path = directory.write(
      "r.jsonl",
      typeof content === "string" ? content : textOf(content),
    );
    await assert.rejects(readAll(path), (error) => {
      assert.ok(error instanceof OomkitError);
      assert.match(error.message, expected);
      return true;
    });
  });
}

Deno.test("lines and fields of types that only later versions know are ignored", async () => {
  using directory = makeDirectory();
  const path = directory.write(
    "r",
    textOf([{ ...head, more: 1 }, { type: "later", at: 1 }, cgroup]),
  );
  assert.deepEqual(await readAll(path), [{ ...head, more: 1 }, cgroup]);
});

Deno.test("what is not a regular file is refused without waiting", async () => {
  using directory = makeDirectory();
  await assert.rejects(readAll(directory.path), /cannot read .*: it is not a regular file/);
  await assert.rejects(readAll(`${directory.path}/none`), /cannot read .*: No such file/);
  await assert.rejects(readAll("/dev/zero"), /it is not a regular file/);
});
