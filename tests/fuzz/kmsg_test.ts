/** From the kernel log to a kill: names of processes and cgroups must not change the victim. */

import assert from "node:assert/strict";
import { parseKmsgRecord } from "../../core/parse/kmsg.ts";
import { OomPieces } from "../../core/parse/oom_pieces.ts";
import { KillLogParser, type LoggedKill } from "../../core/watch/kernel_log.ts";
import { fc } from "./cases.ts";

const encoder = new TextEncoder();
// A comm may begin with the bytes of a byte order mark, which must be kept.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** kernel: kernel/printk/printk.c, msg_add_ext_text. */
function escape(bytes: Uint8Array): string {
  return [...bytes].map((byte) =>
    byte < 0x20 || byte >= 0x7f || byte === 0x5c
      ? `\\x${byte.toString(16).padStart(2, "0")}`
      : String.fromCharCode(byte)
  ).join("");
}

/** TASK_COMM_LEN: the kernel cuts at 15 bytes, also within a character; a NUL ends the comm. */
function commOf(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  const end = bytes.indexOf(0);
  return bytes.subarray(0, Math.min(15, end < 0 ? bytes.length : end));
}

const imitations = [
  "a,pid=9,uid=1",
  "foo) Z 1",
  ",task=b,pid=7,u",
  "x\nKilled proce",
  "), anon-rss:9kB",
  "\x1b]0;title\x07",
  "a\\x0ab",
  "‮evil",
  "",
];
const comm = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.string({ unit: fc.constantFrom(..."(),=: \n\\xpid0123\x1bé𝔘") }),
  fc.constantFrom(...imitations),
).map(commOf);
// A name with ",task=" is ambiguous with the comm: the kernel delimits neither.
const name = fc.oneof(
  fc.stringMatching(/^[^/\n\0]{1,20}$/),
  fc.constantFrom("a,oom_memcg=", "x,pid=1,uid=2", "(deleted)", "\\x0a", "\x1b[2J"),
).filter((text) => !text.includes(",task=") && text.isWellFormed());
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => `/${names.join("/")}`);

interface Kill {
  readonly comm: Uint8Array;
  readonly owner: string;
  readonly below: string;
  readonly pid: number;
  readonly uid: number;
  readonly rss: number;
}

const anyKill: fc.Arbitrary<Kill> = fc.record({
  comm,
  owner: path,
  below: fc.option(path, { nil: "" }),
  pid: fc.integer({ min: 1, max: 4194304 }),
  uid: fc.nat(4294967294),
  rss: fc.nat(2 ** 30),
});

/** The lines of a kill in a cgroup on 6.x, as bytes. */
function linesOf({ comm, owner, below, pid, uid, rss }: Kill): Uint8Array[] {
  const line = (...parts: readonly (string | Uint8Array)[]) =>
    Uint8Array.from(
      parts.flatMap((part) => [...typeof part === "string" ? encoder.encode(part) : part]),
    );
  return [
    line(comm, " invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"),
    line("memory: usage 65536kB, limit 65536kB, failcnt 12"),
    line(
      `oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,` +
        `oom_memcg=${owner},task_memcg=${owner}${below},task=`,
      comm,
      `,pid=${pid},uid=${uid}`,
    ),
    line(
      `Memory cgroup out of memory: Killed process ${pid} (`,
      comm,
      `) total-vm:9kB, anon-rss:${rss}kB, file-rss:0kB, shmem-rss:0kB, UID:${uid} pgtables:4kB ` +
        `oom_score_adj:0`,
    ),
  ];
}

/** Like `core/watch/kernel_log.ts`. */
function killsIn(records: readonly string[]): LoggedKill[] {
  const log = new KillLogParser();
  const pieces = new OomPieces();
  return records.flatMap((text) => {
    const record = parseKmsgRecord(text);
    if (record?.facility !== 0) return [];
    return log.add(pieces.join(record.message, record.continuation), record.timestamp) ?? [];
  });
}

/** One record for each line; `forged` are records of a program in between. */
function recordsOf(lines: readonly Uint8Array[], forged: readonly string[]): string[] {
  return lines.flatMap((line, at) => {
    const stamp = `${at},${1000 + at},-`;
    const written = forged.map((text) => `12,${stamp};${escape(encoder.encode(text))}\n`);
    return [`4,${stamp};${escape(line)}\n`, ...written];
  });
}

const isPlain = (text: string) => !text.includes(",task_memcg=");

Deno.test("victims and limits are read correctly for any names of processes and cgroups", () => {
  const forged = fc.array(
    fc.constantFrom(
      "Memory cgroup out of memory: Killed process 1 (init) total-vm:1kB, anon-rss:1kB",
      "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),task_memcg=/,task=init,pid=1,uid=0",
      "init invoked oom-killer: gfp_mask=0x0",
    ),
    { maxLength: 2 },
  );
  fc.assert(
    fc.property(fc.array(anyKill, { minLength: 1, maxLength: 3 }), forged, (kills, forged) => {
      fc.pre(kills.every(({ owner, below }) => isPlain(owner + below)));
      const found = killsIn(recordsOf(kills.flatMap(linesOf), forged));
      assert.deepEqual(
        found.map(({ victim: { pid, comm, uid, anon_rss }, cgroup, owner, scope }) => ({
          pid,
          comm,
          uid,
          anon_rss,
          cgroup,
          owner,
          scope,
        })),
        kills.map(({ pid, comm, uid, rss, owner, below }) => ({
          pid,
          comm: decoder.decode(comm),
          uid,
          anon_rss: rss * 1024,
          cgroup: owner + below,
          owner,
          scope: "cgroup",
        })),
      );
    }),
  );
});

Deno.test("a summary split anywhere by the kernel names the same victim once", () => {
  const cuts = fc.array(fc.nat(), { maxLength: 4 });
  fc.assert(fc.property(anyKill, cuts, (kill, cuts) => {
    fc.pre(isPlain(kill.owner + kill.below));
    const [invoked, usage, summary, killed] = linesOf(kill) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    // The kernel splits between its own pieces of whole characters; the comm is in the last one.
    const text = decoder.decode(summary);
    const before = text.lastIndexOf(`,task=${decoder.decode(kill.comm)},pid=`);
    const ends = [...new Set(cuts.map((at) => at % (before + 1)))].sort((a, b) => a - b);
    const pieces = [0, ...ends].map((start, at) => text.slice(start, ends[at]))
      .filter((piece) => piece !== "");
    fc.pre(pieces.every((piece) => piece.isWellFormed()));
    const stamp = (at: number, flag: string) => `4,${at},${1000 + at},${flag};`;
    const records = [
      stamp(0, "-") + escape(invoked),
      stamp(1, "-") + escape(usage),
      ...pieces.map((piece, at) => stamp(2, at === 0 ? "-" : "c") + escape(encoder.encode(piece))),
      stamp(3, "-") + escape(killed),
    ];
    const [found, ...more] = killsIn(records);
    assert.deepEqual(more, []);
    assert.deepEqual([found?.victim.pid, found?.owner, found?.cgroup], [
      kill.pid,
      kill.owner,
      kill.owner + kill.below,
    ]);
  }));
});

Deno.test("a program's record is not a kill, even with the exact text of one", () => {
  fc.assert(fc.property(anyKill, fc.integer({ min: 8, max: 191 }), (kill, priority) => {
    const records = linesOf(kill).map((line, at) => `${priority},${at},${at},-;${escape(line)}`);
    assert.deepEqual(killsIn(records), []);
  }));
});

Deno.test("records of any bytes are not kills and never throw", () => {
  const record = fc.tuple(
    fc.constantFrom("6,1,2,-;", "6,1,2,c;", "4,1,2,+;", "", "6,1;"),
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({
        unit: fc.constantFrom("\\x", "ff", "0a", "Killed process ", "1", " (", ")", ","),
      }),
    ),
  ).map((parts) => parts.join(""));
  fc.assert(fc.property(fc.array(record, { maxLength: 8 }), (records) => {
    for (const { victim } of killsIn(records)) {
      assert.ok(records.join("").includes("Killed process ") && Number.isSafeInteger(victim.pid));
    }
  }));
});
