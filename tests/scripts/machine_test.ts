import assert from "node:assert/strict";
import {
  machineLines,
  type MachineRun,
  outcomeOf,
  parseMachineOptions,
  TOOLS,
} from "../../scripts/bench/machine_results.ts";
import { loadWords } from "../../scripts/bench/machine_workloads.ts";

const root = new URL("../..", import.meta.url).pathname;
const MIB = 1024 ** 2;

const run: MachineRun = {
  tool: "oomkit",
  workload: "leak",
  kernelKills: 0,
  allocatorsKilled: 1,
  isInnocentAlive: true,
  isToolAlive: true,
  available: 40 * MIB,
  pauseMs: 12,
  seconds: 8,
  resident: 60 * MIB,
  cpu: 1.5,
};

Deno.test("tools and workloads are chosen by their names, and all of them without one", () => {
  assert.deepEqual(parseMachineOptions([]).tools, TOOLS);
  assert.equal(parseMachineOptions([]).workloads.length, 8);
  const words = ["--runs", "2", "--only", "oomkit,leak", "--seconds", "9"];
  const few = { runs: 2, tools: ["oomkit"], workloads: ["leak"], seconds: 9 };
  assert.deepEqual(parseMachineOptions(words), { ...few, output: "null" });
  assert.deepEqual(parseMachineOptions([...words, "--verbose"]), { ...few, output: "inherit" });
  assert.throws(() => parseMachineOptions(["--only", "oomd,quake"]), /cannot measure "quake"/);
  assert.throws(() => parseMachineOptions(["--runs", "0"]), /a whole number above 0/);
  assert.throws(
    () => parseMachineOptions(["--quick"]),
    /takes --runs, --only, --seconds and --verbose/,
  );
});

Deno.test("a kill by the kernel counts as its own, whatever the tool has killed", () => {
  assert.equal(outcomeOf(run), "tool");
  assert.equal(outcomeOf({ ...run, kernelKills: 1 }), "kernel");
  assert.equal(outcomeOf({ ...run, allocatorsKilled: 0 }), "nothing");
  assert.equal(outcomeOf({ ...run, isInnocentAlive: false }), "tool, innocent");
  assert.equal(outcomeOf({ ...run, isToolAlive: false }), "tool, tool ended");
});

Deno.test("the table has the worst of several runs, and counts outcomes that differ", () => {
  const worse = { ...run, kernelKills: 1, available: 0, pauseMs: 900 };
  const [head, , row] = machineLines([run, run, worse, { ...run, tool: "none", workload: "big" }]);
  assert.match(head!, /\| none \| oomkit \|$/);
  assert.match(row!, /^\| a slow leak \| – \| 2 tool; 1 kernel, 0 MiB, 900 ms \|$/);
});

Deno.test("a machine that is not the emulated one is not filled", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "scripts/bench.ts", "machine", "--only", "none,leak"],
    cwd: root,
    stdin: "null",
  }).output();
  assert.equal(code, 2);
  assert.match(new TextDecoder().decode(stderr), /bench:machine runs in an emulated one only/);
});

Deno.test("a load waits, fills, cycles and holds until it is ended", async () => {
  const load = { size: MIB + 0.5, slow: { rate: 1024 * MIB, from: MIB / 2 }, cycleTo: 2.1 * MIB };
  const [program, ...args] = loadWords(load);
  const child = new Deno.Command(program!, { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("go\n"));
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  for (let each = await reader.read(); !each.done; each = await reader.read()) {
    said += each.value;
    if (said.includes("full")) break;
  }
  assert.equal(said, "ready\nfull\n");
  await writer.close();
  assert.equal((await child.status).code, 0);
  await reader.cancel();
});
