import assert from "node:assert/strict";
import { createProgress, type ProgressOutput } from "../../../cli/terminal/progress.ts";

/** A terminal and a clock of its own; time passes by `wait` alone. */
function fake(columns = 60) {
  let written = "";
  let now = 1000;
  const timers = new Set<() => void>();
  const output: ProgressOutput = {
    write: (text) => void (written += text),
    columns: () => columns,
    now: () => now,
    every(_, act) {
      timers.add(act);
      return () => timers.delete(act);
    },
  };
  return {
    progress: createProgress(output),
    wait(milliseconds: number) {
      now += milliseconds;
      for (const act of [...timers]) act();
    },
    timers,
    /** What was written since the last time. */
    taken() {
      const text = written;
      written = "";
      return text;
    },
  };
}

const ERASE = "\r\x1b[K";

Deno.test("an operation shorter than two seconds shows nothing", () => {
  const { progress, wait, taken, timers } = fake();
  progress.show("compile: bundling", 2, 4);
  wait(1999);
  progress.end();
  assert.equal(taken(), "");
  assert.equal(timers.size, 0);
});

Deno.test("a longer one shows progress and elapsed time, and is erased at the end", () => {
  const { progress, wait, taken } = fake();
  progress.show("bundling", 2, 4);
  wait(2000);
  assert.equal(taken(), `${ERASE}bundling, 2 of 4, 2 s`);
  progress.show("linking");
  assert.equal(taken(), "", "not more than four times a second");
  wait(3100);
  assert.equal(taken(), `${ERASE}linking, 5 s`);
  progress.end();
  assert.equal(taken(), ERASE);
});

Deno.test("a loop without await shows progress too", () => {
  const { progress, wait, taken, timers } = fake();
  progress.show("arming", 0, 9);
  timers.clear();
  wait(2500);
  progress.show("arming", 5, 9);
  assert.equal(taken(), `${ERASE}arming, 5 of 9, 2 s`);
});

Deno.test("it makes room for other output, also for an unfinished line", () => {
  const { progress, wait, taken } = fake();
  progress.show("running");
  wait(2000);
  taken();
  progress.hide(true);
  assert.equal(taken(), ERASE);
  wait(5000);
  assert.equal(taken(), "", "it would be written behind what is there");
  progress.hide();
  wait(250);
  assert.equal(taken(), `${ERASE}running, 7 s`);
});

Deno.test("the next operation starts its own time", () => {
  const { progress, wait, taken } = fake();
  progress.show("one");
  wait(3000);
  progress.end();
  taken();
  progress.show("two");
  wait(1000);
  assert.equal(taken(), "");
  wait(1500);
  assert.equal(taken(), `${ERASE}two, 2 s`);
});

Deno.test("it never takes a second line, and contains no control characters", () => {
  const { progress, wait, taken } = fake(12);
  progress.show("one \x1b[2J two three");
  wait(2000);
  assert.equal(taken(), `${ERASE}one \\x1b[2J`);
});

Deno.test("without a terminal nothing is written", () => {
  const progress = createProgress(undefined);
  progress.show("one", 1, 2);
  progress.hide();
  progress.end();
});
