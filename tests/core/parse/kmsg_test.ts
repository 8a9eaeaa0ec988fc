import assert from "node:assert/strict";
import fc from "fast-check";
import { parseKmsgRecord } from "../../../core/parse/kmsg.ts";
import { parseOomMessage } from "../../../core/parse/oom_message.ts";
import { OomPieces } from "../../../core/parse/oom_pieces.ts";
import { fixture, KERNELS } from "./fixture.ts";

Deno.test("a record of a real kill reads as the kernel wrote it", () => {
  const [record] = fixture("6.18-v1", "kmsg").split("\n");
  assert.deepEqual(parseKmsgRecord(`${record}\n`), {
    priority: 4,
    facility: 0,
    sequence: 1046n,
    timestamp: 1833314319n,
    message:
      "tail invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0",
    continuation: false,
    dictionary: new Map(),
  });
});

Deno.test("escapes are undone byte by byte, into UTF-8", () => {
  const [record] = fixture("6.18-v1", "kmsg_newline").split("\n");
  assert.ok(parseKmsgRecord(record!)?.message.startsWith("a)\n\\ ä (b invoked oom-killer: "));
});

Deno.test("half a character at the end of a comm is kept as a byte", () => {
  assert.equal(parseKmsgRecord("6,1,2,-;task=\\xc3,pid=1")?.message, "task=\udcc3,pid=1");
});

Deno.test("the lines after the message are the dictionary", () => {
  const record = parseKmsgRecord(
    "6,343,1283627,-;virtio_net: up\n SUBSYSTEM=virtio\n DEVICE=+virtio:a=b\n broken\nnot=indented\n",
  );
  assert.deepEqual([...record!.dictionary], [["SUBSYSTEM", "virtio"], ["DEVICE", "+virtio:a=b"]]);
  assert.equal(record!.message, "virtio_net: up");
});

Deno.test("records of a program are distinguished from the kernel's", () => {
  assert.equal(parseKmsgRecord("12,1,2,-;oom-kill: so I say")?.facility, 1);
  assert.equal(parseKmsgRecord("3,1,2,-;x")?.facility, 0);
});

Deno.test("header fields of newer kernels are skipped", () => {
  assert.equal(
    parseKmsgRecord("6,1,2,-,caller=T4711,cpu=0;text; with semicolon")?.message,
    "text; with semicolon",
  );
});

Deno.test("a line that was too long for one record is joined", () => {
  for (const kernel of KERNELS) {
    const lines = new OomPieces();
    const summaries = [];
    let pieces = 0;
    for (const text of fixture(kernel, "kmsg_long").trimEnd().split("\n")) {
      const record = parseKmsgRecord(text)!;
      if (record.continuation) pieces++;
      const message = parseOomMessage(lines.join(record.message, record.continuation));
      if (message?.kind === "oom-kill") summaries.push(message);
    }
    assert.equal(pieces, 2, kernel);
    assert.equal(summaries.length, 1);
    const [{ oomMemcg, taskMemcg, task, global }] = summaries as [typeof summaries[0]];
    assert.deepEqual([task, global], ["tail", false]);
    assert.equal(oomMemcg, `/oomkit-capture/${"n".repeat(240)}`);
    assert.ok(taskMemcg!.startsWith(`${oomMemcg}/${"n".repeat(240)}/`));
    assert.deepEqual([lines.isOpen, lines.cut], [false, 0]);
  }
});

Deno.test("text that is not a record is undefined", () => {
  for (
    const text of [
      "",
      "\n",
      "6,1,2,-",
      " SUBSYSTEM=x",
      "6,1,-;x",
      "a,1,2,-;x",
      "<6>[ 1.0] x",
      "-6,1,2,-;x",
    ]
  ) {
    assert.equal(parseKmsgRecord(text), undefined);
  }
});

Deno.test("arbitrary text never throws", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    parseKmsgRecord(text);
    parseKmsgRecord(`6,1,2,-;${text}`);
  }));
});

Deno.test("any message reads back from the kernel's escaping", () => {
  const escape = (message: string) =>
    [...new TextEncoder().encode(message)].map((byte) =>
      byte < 0x20 || byte >= 0x7f || byte === 0x5c
        ? `\\x${byte.toString(16).padStart(2, "0")}`
        : String.fromCharCode(byte)
    ).join("");
  const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  const message = fc.string({ unit: "grapheme" });
  fc.assert(
    fc.property(
      fc.nat({ max: 191 }),
      u64,
      u64,
      message,
      (priority, sequence, timestamp, message) => {
        const record = parseKmsgRecord(
          `${priority},${sequence},${timestamp},-;${escape(message)}\n`,
        );
        assert.deepEqual(record, {
          priority,
          facility: priority >> 3,
          sequence,
          timestamp,
          message,
          continuation: false,
          dictionary: new Map(),
        });
      },
    ),
  );
});
