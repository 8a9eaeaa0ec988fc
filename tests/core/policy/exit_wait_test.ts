import assert from "node:assert/strict";
import { type ExitWait, waitsForExit } from "../../../core/policy/exit_wait.ts";

const MISSING = 100;
const WAIT: ExitWait = {
  waited: 100,
  longest: 10_000,
  missing: MISSING,
  isUrgent: false,
  isMachine: false,
};
const [ENOUGH, LITTLE] = [{ rss: MISSING, isFreeing: false }, { rss: 1, isFreeing: false }];

Deno.test("at a limit the guard waits for a killed process as the kernel does, but not for ever", () => {
  for (const exit of [ENOUGH, LITTLE]) {
    assert.ok(waitsForExit(exit, WAIT));
    assert.ok(waitsForExit(exit, { ...WAIT, isUrgent: true }));
    assert.ok(!waitsForExit(exit, { ...WAIT, waited: 10_000 }));
  }
});

Deno.test("a process that frees its memory is waited for unless that is too little and time is short", () => {
  for (const isMachine of [false, true]) {
    const wait = { ...WAIT, isMachine, waited: 5000 };
    for (const rss of [1, undefined, MISSING]) {
      assert.ok(waitsForExit({ rss, isFreeing: true }, wait));
    }
    const urgent = { ...wait, isUrgent: true };
    assert.ok(waitsForExit({ rss: MISSING, isFreeing: true }, urgent));
    assert.ok(!waitsForExit({ rss: 1, isFreeing: true }, urgent));
    assert.ok(!waitsForExit({ rss: undefined, isFreeing: true }, urgent));
  }
});

Deno.test("for the machine a killed process that does not begin to exit, or has too little, is not waited for", () => {
  const wait = { ...WAIT, isMachine: true };
  assert.ok(waitsForExit(ENOUGH, wait));
  assert.ok(!waitsForExit(ENOUGH, { ...wait, waited: 2000 }));
  assert.ok(!waitsForExit(LITTLE, wait));
  assert.ok(!waitsForExit({ rss: undefined, isFreeing: false }, wait));
});
