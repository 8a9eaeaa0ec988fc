import assert from "node:assert/strict";
import { makeDirectory } from "../../helpers/directory.ts";
import { inspectJson } from "../../helpers/inspect_json.ts";
import { asUnprivilegedUser, oomkitForAllUsers, runOomkit } from "../../helpers/run_oomkit.ts";
import { simulateJson, startSimulation } from "../../helpers/simulation.ts";

const MIB = 1024 ** 2;

for (const version of ["1", "2"]) {
  Deno.test(`a fake v${version} tree runs out of memory like a real one, and no process is killed`, async () => {
    using directory = makeDirectory();
    const { code, start, verdict, ofType } = await simulateJson([
      ...["--fake", directory.path, "--fake-version", version, "--rate", "100M/s"],
      ...["--expect", "oom_kill"],
    ]);
    assert.equal(code, 0);
    assert.equal(start.fake_reason, "--fake was given");
    assert.equal(start.hierarchy, Number(version));
    assert.deepEqual(ofType("threshold").slice(0, 2).map((t) => t.threshold), [13 * MIB, 18 * MIB]);
    assert.equal(ofType("oom_kill").length, 1);
    assert.deepEqual(
      [verdict.outcome, verdict.oom_kill_count, verdict.peak, verdict.processes],
      ["oom_kill", 1, 20 * MIB, []],
    );
    assert.deepEqual([...Deno.readDirSync(directory.path)], []);
  });

  Deno.test(`inspect reads a fake v${version} tree while it is updated`, async () => {
    using directory = makeDirectory();
    await using running = startSimulation([
      ...[
        "--fake",
        directory.path,
        "--fake-version",
        version,
        "--stop-at",
        "50%",
        "--rate",
        "1G/s",
      ],
    ]);
    await running.next("step");
    const { document } = await inspectJson(["--root", directory.path, "/app"]);
    assert.equal(document.hierarchy.version, Number(version));
    assert.equal(document.targets[0].usage, 10 * MIB);
    assert.equal(document.targets[0].effective_limit.bytes, 20 * MIB);
    running.kill("SIGINT");
    const { code, verdict } = await running.end();
    assert.equal(code, 0);
    assert.equal(verdict.ended_by, "interrupt");
    assert.deepEqual([...Deno.readDirSync(directory.path)], []);
  });
}

Deno.test("a directory that was created for a fake tree is removed with it", async () => {
  using directory = makeDirectory();
  const dir = `${directory.path}/tree`;
  const { code, start } = await simulateJson(["--fake", dir, "--for", "50ms"]);
  assert.equal(code, 0);
  assert.equal(start.fake_root, dir);
  assert.deepEqual([...Deno.readDirSync(directory.path)], []);
});

Deno.test("a file that another program put into a fake tree stays", async () => {
  using directory = makeDirectory();
  await using running = startSimulation(["--fake", directory.path]);
  await running.next("step");
  Deno.writeTextFileSync(`${directory.path}/app/note`, "mine");
  running.kill("SIGTERM");
  await running.end();
  assert.equal(Deno.readTextFileSync(`${directory.path}/app/note`), "mine");
  assert.deepEqual([...Deno.readDirSync(directory.path)].map(({ name }) => name), ["app"]);
});

Deno.test("the fake tree of a killed run is reused, one in use is refused", async () => {
  using directory = makeDirectory();
  await using running = startSimulation(["--fake", directory.path]);
  await running.next("step");
  const other = await runOomkit(["simulate", "--fake", directory.path]);
  assert.equal(other.code, 2);
  assert.match(
    other.stderr,
    new RegExp(`^oomkit: cannot create a fake tree in .*: pid ${running.pid} `),
  );
  running.kill("SIGKILL");
  await running.status;
  const { code } = await simulateJson(["--fake", directory.path, "--for", "50ms"]);
  assert.equal(code, 0);
  assert.deepEqual([...Deno.readDirSync(directory.path)], []);
});

Deno.test("a saw-tooth is never killed, a leak is in the end", async () => {
  using directory = makeDirectory();
  const fake = ["--fake", directory.path, "--rate", "400M/s"];
  const tooth = await simulateJson([...fake, "--growth", "saw-tooth", "--for", "300ms"]);
  assert.equal(tooth.verdict.outcome, "survived");
  assert.ok(tooth.verdict.peak >= 17 * MIB);
  const leak = await simulateJson([...fake, "--growth", "leak", "--expect", "oom_kill"]);
  assert.equal(leak.verdict.outcome, "oom_kill");
});

Deno.test("without permission to create cgroups the first line says why, and a fake tree is used", async () => {
  if (Deno.uid() !== 0) return;
  using shared = await oomkitForAllUsers();
  const { code, stdout } = await runOomkit(
    ["simulate", "--mb", "20", "--rate", "100M/s"],
    { ...shared, wrap: asUnprivilegedUser, cwd: "/" },
  );
  const [first, ...rest] = stdout.split("\n");
  assert.match(
    first!,
    /^fake +nothing is allocated or killed, .*: .*(permission denied|read-only)/,
  );
  assert.match(
    rest.join("\n"),
    /verdict +out of memory: a real kernel would have killed here, nothing was killed/,
  );
  assert.equal(code, 0);
});
