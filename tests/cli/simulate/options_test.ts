import assert from "node:assert/strict";
import { OomkitError } from "../../../core/errors.ts";
import { parseListen, parseMebibytes, parseProcesses } from "../../../cli/simulate/options.ts";
import { checkRoom, limitOf, planOf } from "../../../cli/simulate/plan.ts";
import { simulateBase, type SimulateFlags } from "../../../cli/simulate/options.ts";

const MIB = 1024 ** 2;
const flags = (...args: string[]): SimulateFlags => {
  const command = simulateBase().action(() => {});
  command.parse(args, { from: "user" });
  return command.opts();
};

Deno.test("a port without a host is on the loopback address", () => {
  assert.deepEqual(parseListen(":8080"), { hostname: "127.0.0.1", port: 8080 });
  assert.deepEqual(parseListen("8080"), { hostname: "127.0.0.1", port: 8080 });
  assert.deepEqual(parseListen("0.0.0.0:80"), { hostname: "0.0.0.0", port: 80 });
  assert.deepEqual(parseListen("[::]:80"), { hostname: "::", port: 80 });
  for (const text of ["", ":", "0", ":65536", "a:b", "http://x:1", ":80x"]) {
    assert.throws(() => parseListen(text), OomkitError, text);
  }
});

Deno.test("--mb takes a number of MiB, or a size with a unit", () => {
  assert.equal(parseMebibytes("20"), 20 * MIB);
  assert.equal(parseMebibytes("1.5"), 1.5 * MIB);
  assert.equal(parseMebibytes("20M"), 20 * MIB);
  for (const text of ["0", "-1", "x", ""]) assert.throws(() => parseMebibytes(text), OomkitError);
});

Deno.test("the number of processes is a whole number from 1 to 64", () => {
  assert.equal(parseProcesses("64"), 64);
  for (const text of ["0", "65", "1.5", "-1", "x"]) {
    assert.throws(() => parseProcesses(text), OomkitError);
  }
});

Deno.test("the default limit is 20 MiB, and --here sets none", () => {
  assert.equal(limitOf(flags()), 20 * MIB);
  assert.equal(limitOf(flags("--mb", "4")), 4 * MIB);
  assert.equal(limitOf(flags("--here")), undefined);
});

Deno.test("the expected outcome follows from the options, and --expect overrides it", () => {
  const expected = (...args: string[]) => planOf(flags(...args), 20 * MIB, 4096).expected;
  assert.equal(expected(), "oom_kill");
  assert.equal(expected("--stop-at", "90%"), "survived");
  assert.equal(expected("--stop-at", "90%", "--expect", "oom_kill"), "oom_kill");
  assert.equal(expected("--on-signal", "free"), null);
  assert.equal(expected("--on-signal", "ignore"), "oom_kill");
  assert.equal(expected("--for", "1s"), null);
});

Deno.test("a step is whole pages, small against the limit and against the rate", () => {
  const step = (limit: number, ...args: string[]) => planOf(flags(...args), limit, 4096).step;
  assert.equal(step(20 * MIB), 64 * 1024);
  assert.equal(step(4 * MIB), 16 * 1024);
  assert.equal(step(20 * MIB, "--rate", "1M/s"), 20 * 1024);
  assert.equal(step(20 * MIB, "--step", "5000"), 8192);
  assert.equal(planOf(flags("--mb", "4"), 4 * MIB, 65536).step, 65536);
});

Deno.test("with --here a percentage needs a limit, and without a limit --stop-at is needed", () => {
  assert.throws(() => planOf(flags("--here"), undefined, 4096), /no limit.*--stop-at/);
  assert.throws(() => planOf(flags("--here", "--stop-at", "50%"), undefined, 4096), /no limit/);
  const plan = planOf(flags("--here", "--stop-at", "64M"), undefined, 4096);
  assert.deepEqual([plan.stopAt, plan.maxBytes, plan.thresholds], [64 * MIB, 64 * MIB, []]);
});

Deno.test("the error about a limit that does not fit names the cgroup that has too little left", () => {
  assert.doesNotThrow(() => checkRoom(20 * MIB, { bytes: 20 * MIB }));
  assert.doesNotThrow(() => checkRoom(20 * MIB, undefined));
  assert.throws(
    () => checkRoom(20 * MIB, { bytes: MIB, owner: "/a" }),
    /\/a has only 1\.0 MiB left/,
  );
  assert.throws(() => checkRoom(20 * MIB, { bytes: MIB }), /the machine has only 1\.0 MiB left/);
});
