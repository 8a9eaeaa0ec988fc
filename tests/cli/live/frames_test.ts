/** What is written to the terminal, and how often. */

import assert from "node:assert/strict";
import { createFrameLimiter, screenDiff } from "../../../cli/terminal/terminal.ts";

/** The screen of a terminal without line wrap after a write. */
function shown(before: readonly string[], written: string, columns: number): string[] {
  const screen = before.map((line) => line.padEnd(columns));
  // deno-lint-ignore no-control-regex
  for (const [, row, text] of written.matchAll(/\x1b\[(\d+);1H([^]*?)(?=\x1b\[\d+;1H|$)/g)) {
    // deno-lint-ignore no-control-regex
    const bare = text!.replace(/\x1b\[0m/g, "");
    const line = bare.replace("\x1b[K", "");
    const rest = bare.endsWith("\x1b[K") ? "" : screen[Number(row) - 1]!.slice(line.length);
    screen[Number(row) - 1] = (line + rest).padEnd(columns);
  }
  return screen.map((line) => line.trimEnd());
}

Deno.test("only changed lines are written, and the screen is then the requested one", () => {
  const before = ["head", "a long line", "same", "x".repeat(20)];
  const after = ["head", "short", "same", "y".repeat(20)];
  const written = screenDiff(before, after, 20);
  assert.deepEqual(shown(before, written, 20), after);
  assert.ok(!written.includes("same") && !written.includes("head"), JSON.stringify(written));
  assert.equal(screenDiff(after, after, 20), "");
  assert.deepEqual(shown(["", "", "", ""], screenDiff([], after, 20), 20), after);
});

Deno.test("a full line is not followed by an erase, which would remove its last character", () => {
  assert.ok(!screenDiff([], ["x".repeat(20)], 20).includes("\x1b[K"));
  assert.ok(!screenDiff([], ["日".repeat(10)], 20).includes("\x1b[K"));
});

Deno.test("at most ten frames a second are drawn, the last change always, and none without a change", () => {
  let now = 0;
  let due: { at: number; act: () => void } | undefined;
  const drawn: number[] = [];
  const frames = createFrameLimiter({
    draw: () => drawn.push(now),
    now: () => now,
    schedule(act, ms) {
      due = { at: now + ms, act };
      return () => due = undefined;
    },
  });
  const runUntil = (end: number, everyMs: number) => {
    for (; now < end; now += everyMs) {
      frames.request();
      while (due && due.at <= now) {
        const { act } = due;
        due = undefined;
        act();
      }
    }
  };
  runUntil(2000, 1);
  assert.ok(drawn.length >= 19 && drawn.length <= 20, String(drawn));
  for (let at = 1; at < drawn.length; at++) assert.ok(drawn[at]! - drawn[at - 1]! >= 100);
  assert.ok(due !== undefined, "the last change is still to be drawn");
  frames.stop();
  frames.request();
  assert.equal(due, undefined);
});
