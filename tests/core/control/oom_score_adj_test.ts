import assert from "node:assert/strict";
import { lowerOwnOomScoreAdj, setOwnOomScoreAdj } from "../../../core/control/oom_score_adj.ts";

const read = () => Number(Deno.readTextFileSync("/proc/self/oom_score_adj"));
const options = { ignore: Deno.build.os !== "linux" };

// Only raised, which needs no capability, and by little: the tests must not become the machine's first victim.
const raised = () => Math.min(1000, read() + 5);

Deno.test("the own score is set, inherited by children, and restored", options, () => {
  const before = read();
  const score = setOwnOomScoreAdj(raised());
  try {
    assert.equal(score.refused, undefined);
    assert.equal(read(), Math.min(1000, before + 5));
    const { stdout } = new Deno.Command("cat", { args: ["/proc/self/oom_score_adj"] }).outputSync();
    assert.equal(Number(new TextDecoder().decode(stdout)), read());
  } finally {
    score.restore();
  }
  assert.equal(read(), before);
});

Deno.test("a score that is refused is a reason, and restoring it changes nothing", options, () => {
  const before = read();
  const score = setOwnOomScoreAdj(5000);
  assert.equal(score.refused, "the kernel refused the value");
  assert.equal(read(), before);
  const other = setOwnOomScoreAdj(raised());
  try {
    score.restore();
    assert.notEqual(read(), before);
  } finally {
    other.restore();
  }
});

Deno.test("a lower score stays", options, () => {
  const before = read();
  const score = lowerOwnOomScoreAdj(raised());
  try {
    assert.equal(score.refused, undefined);
    assert.equal(read(), before);
  } finally {
    score.restore();
  }
  assert.equal(read(), before);
});
