/** `oomkit guard` with a configuration file: rules, and reloading. */

import assert from "node:assert/strict";
import { makeDirectory } from "../helpers/directory.ts";
import {
  changingModeOf,
  feedSlowly,
  feedWhileItLives,
  isAlive,
  isChanged,
  isKillAction,
  isLevel,
  killActionsOf,
  startGuarded,
  until,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { kernelTest, MIB, ofType } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import type { Json } from "../helpers/event_stream.ts";

const LIMIT = 48 * MIB;

const isArmedBy = ({ path }: RealCgroup, rule: string) => (event: Json) =>
  event.type === "guard_armed" && event.cgroup === path && event.rule === rule;

kernelTest("the first rule that matches a cgroup applies to it", async () => {
  await using parent = makeRealCgroup("rules");
  const kept = parent.child("kept");
  const target = parent.child("target");
  for (const cgroup of [kept, target]) cgroup.limit(LIMIT);
  using directory = makeDirectory();
  const config = directory.write(
    "c.toml",
    `[guard]
recursive = true
policy = "process"

[[guard.rule]]
name = "noop"
cgroup = "${parent.path}/k*"
warn = 40
policy = "noop"
`,
  );
  await using one = await startHungryProcess(kept);
  await using other = await startHungryProcess(target);
  await using guarded = await startGuarded(["--config", config, parent.path]);
  // Below the limit, so that the kernel kills nothing.
  await one.feed(47 * MIB);
  await feedWhileItLives(other, LIMIT);
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.cgroup, action.victim.pid], [target.path, other.pid]);
  const events = await guarded.stop();
  assert.equal(killActionsOf(events).length, 1);
  assert.ok(isAlive(one.pid));
  const rules = ofType(events, "guard_armed").map(({ cgroup, rule }: Json) => [cgroup, rule]);
  assert.deepEqual(Object.fromEntries(rules), {
    [kept.path]: "noop",
    [target.path]: null,
  });
  const warned = events.filter(({ type, cgroup }: Json) =>
    type === "level_reached" && cgroup === kept.path
  );
  assert.equal(
    warned.find(({ level }: Json) => level === "warn").level_bytes,
    Math.floor(0.4 * LIMIT),
  );
});

for (const setting of ["exempt = true", 'policy = "noop"']) {
  kernelTest(
    `a cgroup excluded by a rule (${setting}) is not killed at its parent's limit either`,
    async () => {
      await using parent = makeRealCgroup("kept");
      parent.limit(LIMIT);
      const [kept, other] = [parent.child("db"), parent.child("web")];
      using directory = makeDirectory();
      const config = directory.write(
        "c.toml",
        `[guard]\nrecursive = true\npolicy = "process"\n\n` +
          `[[guard.rule]]\ncgroup = "${kept.path}"\n${setting}\n`,
      );
      await using big = await startHungryProcess(kept);
      await using small = await startHungryProcess(other);
      await big.feed(32 * MIB);
      await using guarded = await startGuarded(["--config", config, parent.path]);
      await feedWhileItLives(small, LIMIT);
      const action = await guarded.next(isKillAction);
      assert.equal(action.victim.pid, small.pid);
      const excluded = action.candidates.find(({ pid }: Json) => pid === big.pid);
      assert.deepEqual(
        [excluded.preference, excluded.preference_reason],
        ["excluded", "excluded by the rule for its cgroup"],
      );
      await guarded.stop();
      assert.ok(isAlive(big.pid));
    },
  );
}

kernelTest("reloading an unchanged file does not restart a kill cycle", async () => {
  await using cgroup = makeRealCgroup("same");
  cgroup.limit(LIMIT);
  using directory = makeDirectory();
  const config = directory.write(
    "c.toml",
    '[guard]\npolicy = "process"\ngrace-period = "3s"\nreclaim = false\nmargin-ratio = 0.3\nmode = "notify"\n',
  );
  await using guarded = await startGuarded(["--config", config, cgroup.path]);
  await using stubborn = await startHungryProcess(cgroup, { before: 'trap "" TERM' });
  // Slowly, so that the grace period is not cut short.
  await feedSlowly(stubborn, () => guarded.events.some(isLevel("imminent")));
  const reloads = () => guarded.stderr.split("configuration reloaded").length - 1;
  for (let times = 1; times <= 3; times++) {
    Deno.kill(guarded.pid, "SIGHUP");
    await until("it is reloaded", () => reloads() === times);
  }
  assert.deepEqual(killActionsOf(guarded.events), []);
  assert.equal((await stubborn.status).signal, "SIGKILL");
  const events = await guarded.stop();
  assert.deepEqual(killActionsOf(events).map(({ signal, outcome }) => [signal, outcome]), [
    ["SIGTERM", "survived"],
    ["SIGKILL", "killed"],
  ]);
  assert.equal(ofType(events, "guard_armed").length, 1);
});

kernelTest(
  "SIGHUP reloads the file, and a mistake in it keeps the previous configuration",
  async () => {
    await using cgroup = makeRealCgroup("reload");
    cgroup.limit(LIMIT);
    using directory = makeDirectory();
    const rule = (name: string, policy: string) =>
      directory.write(
        "c.toml",
        `[[guard.rule]]\nname = "${name}"\ncgroup = "${cgroup.path}"\npolicy = "${policy}"\n`,
      );
    const config = rule("first", "noop");
    await using guarded = await startGuarded(["--config", config, cgroup.path]);
    await guarded.next(isArmedBy(cgroup, "first"));
    rule("second", "kill");
    Deno.kill(guarded.pid, "SIGHUP");
    await until("the mistake is reported", () => guarded.stderr.includes("stays in force"));
    assert.match(guarded.stderr, /c\.toml:4: policy = "kill": .*noop, process, container/);
    rule("third", "process");
    Deno.kill(guarded.pid, "SIGHUP");
    await guarded.next(isArmedBy(cgroup, "third"));
    await using hungry = await startHungryProcess(cgroup);
    await feedWhileItLives(hungry, LIMIT);
    const action = await guarded.next(isKillAction);
    assert.deepEqual([action.outcome, action.victim.pid], ["killed", hungry.pid]);
    await guarded.stop();
  },
);

kernelTest("a reload that changes the mode restores what the previous mode changed", async () => {
  await using cgroup = makeRealCgroup("restored");
  cgroup.limit(LIMIT);
  using directory = makeDirectory();
  const mode = changingModeOf(cgroup);
  const config = directory.write("c.toml", `[guard]\nmode = "${mode}"\npolicy = "process"\n`);
  await using guarded = await startGuarded(["--config", config, cgroup.path]);
  assert.ok(isChanged(cgroup));
  directory.write("c.toml", '[guard]\nmode = "notify"\npolicy = "process"\n');
  Deno.kill(guarded.pid, "SIGHUP");
  await guarded.next(({ type }) => type === "restored");
  await until("it is restored", () => !isChanged(cgroup));
  await guarded.stop();
});

kernelTest("SIGHUP reopens the log file, and no event is lost", async () => {
  await using cgroup = makeRealCgroup("log");
  cgroup.limit(LIMIT);
  using directory = makeDirectory();
  const log = `${directory.path}/events.log`;
  await using guarded = await startGuarded(["--log-file", log, cgroup.path]);
  await until("the first line is written", () => Deno.statSync(log).size > 0);
  Deno.renameSync(log, `${log}.1`);
  Deno.kill(guarded.pid, "SIGHUP");
  await until(
    "the reload is reported",
    () => guarded.stderr.includes("configuration reloaded"),
  );
  const events = await guarded.stop();
  const linesOf = (path: string) => Deno.readTextFileSync(path).trim().split("\n");
  const logged = [...linesOf(`${log}.1`), ...linesOf(log)].map((line) => JSON.parse(line));
  assert.deepEqual(logged, events);
});

/** A receiver that answers no request before `open`. */
function slowReceiver() {
  const gate = Promise.withResolvers<void>();
  const bodies: Json[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      bodies.push(await request.json());
      await gate.promise;
      return new Response();
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}/`,
    bodies,
    open: gate.resolve,
    async [Symbol.asyncDispose]() {
      gate.resolve();
      await server.shutdown();
    },
  };
}

kernelTest(
  "a receiver that does not answer delays no kill, and gets all events later",
  async () => {
    await using cgroup = makeRealCgroup("slow");
    cgroup.limit(LIMIT);
    await using receiver = slowReceiver();
    const words = [
      "--policy",
      "process",
      "--webhook-url",
      receiver.url,
      "--event-types",
      "action",
      // It is an action, too.
      "--no-reclaim",
      // Longer than the test takes on an emulated machine: a request that times out is sent again.
      "--webhook-timeout",
      "10m",
    ];
    await using guarded = await startGuarded([...words, cgroup.path]);
    for (let round = 0; round < 3; round++) {
      await using hungry = await startHungryProcess(cgroup);
      await feedWhileItLives(hungry, LIMIT);
      await until(
        "the kill is reported",
        () => killActionsOf(guarded.events).length === round + 1,
      );
    }
    // The first request is still unanswered.
    assert.equal(receiver.bodies.length, 1);
    receiver.open();
    const events = await guarded.stop();
    assert.deepEqual(receiver.bodies.map(({ data }) => data), killActionsOf(events));
    for (const { specversion, type, subject } of receiver.bodies) {
      assert.deepEqual([specversion, type, subject], ["1.0", "io.oomkit.action", cgroup.path]);
    }
  },
);

kernelTest(
  "an OTLP receiver that does not answer delays no kill, though exports follow each other",
  async () => {
    await using cgroup = makeRealCgroup("otlp");
    cgroup.limit(LIMIT);
    await using receiver = slowReceiver();
    await using guarded = await startGuarded(
      ["--policy", "process", "--otlp", receiver.url, cgroup.path],
      { env: { OTEL_METRIC_EXPORT_INTERVAL: "20" } },
    );
    await until("an export waits for its answer", () => receiver.bodies.length > 0);
    await using hungry = await startHungryProcess(cgroup);
    await feedWhileItLives(hungry, LIMIT);
    await until("the kill is reported", () => killActionsOf(guarded.events).length === 1);
    const [{ resourceMetrics }] = receiver.bodies;
    assert.ok(resourceMetrics[0].scopeMetrics[0].metrics.length > 0);
    receiver.open();
    await guarded.stop();
  },
);

kernelTest(
  "--exec runs after the kill, with the event on stdin and in the environment",
  async () => {
    await using cgroup = makeRealCgroup("exec");
    cgroup.limit(LIMIT);
    using directory = makeDirectory();
    const output = `${directory.path}/output`;
    const command = `cat > ${output}.part; echo "$OOMKIT_EVENT_TYPE $OOMKIT_EVENT_VICTIM_PID" >> ` +
      `${output}.part; mv ${output}.part ${output}`;
    const words = ["--policy", "process", "--exec", command, "--event-types", "action"];
    words.push("--no-reclaim");
    await using guarded = await startGuarded([...words, cgroup.path]);
    await using hungry = await startHungryProcess(cgroup);
    await feedWhileItLives(hungry, LIMIT);
    const action = await guarded.next(isKillAction);
    await guarded.stop();
    const [event, variables] = Deno.readTextFileSync(output).trim().split("\n");
    assert.deepEqual(JSON.parse(event!), action);
    assert.equal(variables, `action ${hungry.pid}`);
  },
);
