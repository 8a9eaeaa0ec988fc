import assert from "node:assert/strict";
import { offences } from "../../scripts/words.ts";

const wordsIn = (text: string, path = "core/a.ts") =>
  offences(path, text).map((line) => /"(.+?)"/.exec(line)?.[1]);

Deno.test("a private word is found in comments, strings and identifiers, with its line and the term to use", () => {
  assert.deepEqual(offences("core/a.ts", "const a = 1;\n// the sentry waits\n"), [
    'core/a.ts:2: "sentry"; write: monitor thread, MonitorLoop',
  ]);
  assert.deepEqual(wordsIn('say("nobody is left");'), ["nobody"]);
  assert.deepEqual(wordsIn("function openWard() {}"), ["Ward"]);
  assert.deepEqual(wordsIn("MOST_WARDS"), ["WARDS"]);
  assert.deepEqual(wordsIn("struck_ms"), ["struck"]);
});

Deno.test("a word within another word is not found", () => {
  assert.deepEqual(wordsIn("forward, afterwards, reward, whole, the, here, cashew"), []);
});

Deno.test("fixtures and the user of that name are exempt", () => {
  assert.deepEqual(wordsIn("nobody", "tests/fixtures/a.txt"), []);
  assert.deepEqual(wordsIn("nobody:x:65534:65534:nobody:/nonexistent:/bin/false"), []);
});
