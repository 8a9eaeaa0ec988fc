/** Truncated, garbled and mixed logs: a history may have fewer kills, but never other ones. */

import assert from "node:assert/strict";
import { LogKills } from "../../core/history/log_kills.ts";
import { parseLogLine } from "../../core/parse/log_line.ts";
import { fc } from "./cases.ts";

const directory = new URL("../fixtures/kernel_logs/", import.meta.url);
const LATEST = new Date(2026, 5, 1).getTime();

const texts = [...Deno.readDirSync(directory)].map(({ name }) =>
  Deno.readTextFileSync(new URL(name, directory))
);

function killsOf(lines: readonly string[]): string[] {
  const log = new LogKills("file", "log");
  for (const text of lines) {
    const line = parseLogLine(text, LATEST);
    if (line) log.add(line);
  }
  return log.end().kills.map(({ victim, at, uptime }) =>
    `${victim.pid} ${victim.comm} ${at} ${uptime}`
  );
}

Deno.test("a log that is cut off anywhere has the kills before the cut, and no other victim", () => {
  const cut = fc.constantFrom(...texts).chain((text) =>
    fc.nat(text.length).map((end) => ({ text, end }))
  );
  fc.assert(fc.property(cut, ({ text, end }) => {
    const whole = killsOf(text.split("\n"));
    const found = killsOf(text.slice(0, end).split("\n"));
    assert.deepEqual(found, whole.slice(0, found.length));
  }));
});

Deno.test("lines of programs between those of the kernel change no kill", () => {
  const foreign = fc.constantFrom(
    "Mar  1 00:00:00 host sshd[7]: Out of memory: Killed process 1 (x) total-vm:1kB",
    "12,1,2,-;Out of memory: Killed process 1 (x) total-vm:1kB",
    "user  :notice: [    1.000000] Out of memory: Killed process 1 (x) total-vm:1kB",
    "<13>[    1.000000] Out of memory: Killed process 1 (x) total-vm:1kB",
    "",
  );
  const mixed = fc.record({
    text: fc.constantFrom(...texts),
    places: fc.array(fc.tuple(fc.nat(), foreign), { maxLength: 5 }),
  });
  fc.assert(fc.property(mixed, ({ text, places }) => {
    const lines = text.split("\n");
    const whole = killsOf(lines);
    for (const [at, line] of places) lines.splice(at % (lines.length + 1), 0, line);
    assert.deepEqual(killsOf(lines), whole);
  }));
});

Deno.test("any bytes in a log never make it throw", () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.string({ unit: "binary", maxLength: 4 })), {
    maxLength: 5,
  });
  fc.assert(fc.property(fc.constantFrom(...texts), changes, (text, changes) => {
    let changed = text;
    for (const [at, put] of changes) {
      const here = at % (changed.length + 1);
      changed = changed.slice(0, here) + put + changed.slice(here + put.length);
    }
    killsOf(changed.split("\n"));
  }));
});
