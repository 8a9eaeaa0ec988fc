import assert from "node:assert/strict";
import { checkHeadroom, checkUsage, overall } from "../../../core/policy/check.ts";

const capacity = { used: 60, left: 40, limit: 100 };

Deno.test("a requirement that is met exactly is met", () => {
  assert.equal(checkHeadroom(capacity, { bytes: 40 }), "ok");
  assert.equal(checkHeadroom(capacity, { bytes: 41 }), "not_ok");
  assert.equal(checkHeadroom(capacity, { percent: 40 }), "ok");
  assert.equal(checkHeadroom(capacity, { percent: 40.1 }), "not_ok");
  assert.equal(checkUsage(capacity, { bytes: 60 }), "ok");
  assert.equal(checkUsage(capacity, { bytes: 59 }), "not_ok");
  assert.equal(checkUsage(capacity, { percent: 60 }), "ok");
  assert.equal(checkUsage(capacity, { percent: 59 }), "not_ok");
});

Deno.test("without a limit a percentage is unknown and bytes are checked", () => {
  const unlimited = { used: 60, left: 4000, limit: Infinity };
  assert.equal(checkHeadroom(unlimited, { percent: 20 }), "unknown");
  assert.equal(checkHeadroom(unlimited, { bytes: 512 }), "ok");
  assert.equal(checkUsage(unlimited, { percent: 80 }), "unknown");
});

Deno.test("a limit of 0 has nothing left and is full", () => {
  const none = { used: 0, left: 0, limit: 0 };
  assert.equal(checkHeadroom(none, { percent: 0.1 }), "not_ok");
  assert.equal(checkHeadroom(none, { bytes: 1 }), "not_ok");
  assert.equal(checkUsage(none, { percent: 99.9 }), "not_ok");
});

Deno.test("what is not known is neither ok nor not ok", () => {
  assert.equal(checkHeadroom({ limit: 100 }, { bytes: 1 }), "unknown");
  assert.equal(checkUsage({ limit: 100 }, { percent: 100 }), "unknown");
});

Deno.test("a check that failed outweighs an unknown one", () => {
  assert.equal(overall(["ok", "unknown", "not_ok"]), "not_ok");
  assert.equal(overall(["ok", "unknown"]), "unknown");
  assert.equal(overall(["ok"]), "ok");
});
