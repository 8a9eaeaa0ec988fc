import assert from "node:assert/strict";
import { OomPieces } from "../../../core/parse/oom_pieces.ts";

const joined = (...messages: (string | [string, boolean])[]) => {
  const pieces = new OomPieces();
  const lines = messages.map((each) =>
    typeof each === "string" ? pieces.join(each) : pieces.join(...each)
  );
  pieces.end();
  return { lines, cut: pieces.cut };
};

const START =
  "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,oom_memcg=";
const END = ",task_memcg=/a/b,task=x,pid=7,uid=0";
const WHOLE = `${START}/a${END}`;

Deno.test("pieces are joined, marked as such or not, and each longer line replaces the one before", () => {
  const expected = { lines: [START, `${START}/a`, WHOLE], cut: 0 };
  assert.deepEqual(joined(START, "/a", END), expected);
  assert.deepEqual(joined(START, ["/a", true], [END, true]), expected);
  assert.deepEqual(joined(["oom-kill:", false], ["rest", true]).lines, [
    "oom-kill:",
    "oom-kill:rest",
  ]);
});

Deno.test("a path may continue a line that could be whole", () => {
  const line = "Task in /a/b killed as a result of limit of /a";
  assert.deepEqual(joined(line, ["/b", true]), { lines: [line, `${line}/b`], cut: 0 });
});

Deno.test("the lines of a group are joined like those of a kill", () => {
  const { lines, cut } = joined(
    "Tasks in ",
    "/a",
    " are going to be killed due to memory.oom.group set",
  );
  assert.equal(lines.at(-1), "Tasks in /a are going to be killed due to memory.oom.group set");
  assert.equal(cut, 0);
});

Deno.test("a line is joined although other CPUs log between its pieces", () => {
  const other = "eth0: link is up";
  const { lines, cut } = joined(START, other, "/a", other, [END, true]);
  assert.deepEqual([lines[1], lines.at(-1), cut], [other, WHOLE, 0]);
  // The mark is about the other line.
  assert.equal(joined(START, "eth0: link", [" is up", true], `/a${END}`).lines.at(-1), WHOLE);
});

Deno.test("a line that does not end before the next kill is cut", () => {
  const killed = "Memory cgroup out of memory: Killed process 7 (x) total-vm:1kB, UID:0";
  assert.deepEqual(joined(START, killed, END), { lines: [START, killed, END], cut: 1 });
  const many = Array<string>(20).fill("eth0: link is up");
  assert.deepEqual(joined(START, ...many, END).lines.at(-1), END);
  assert.equal(joined(START).cut, 1);
  // A process may call itself so.
  const invoked = ",x invoked oom-killer: gfp_mask=0x0, order=0, oom_score_adj=0";
  assert.equal(joined(START, invoked).lines.at(-1), invoked);
});
