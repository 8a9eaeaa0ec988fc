/** A guard by a configuration file: rules, and what becomes of a file that changes. */

import assert from "node:assert/strict";
import { makeFolder } from "../helpers/folder.ts";
import {
  feedSlowly,
  feedWhileItLives,
  isAlive,
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

const guardingOf = ({ path }: RealCgroup, rule?: string) => (event: Json) =>
  event.type === "guard_armed" && event.cgroup === path &&
  (rule === undefined || event.rule === rule);

kernelTest("each cgroup is guarded as the first rule that fits it says", async () => {
  await using parent = makeRealCgroup("rules");
  const kept = parent.child("kept");
  const taken = parent.child("taken");
  for (const cgroup of [kept, taken]) cgroup.limit(LIMIT);
  using folder = makeFolder();
  const config = folder.write(
    "c.toml",
    `[guard]
recursive = true
policy = "process"

[[guard.rule]]
name = "left alone"
cgroup = "${parent.path}/k*"
warn = 40
policy = "noop"
`,
  );
  await using one = await startHungryProcess(kept);
  await using other = await startHungryProcess(taken);
  await using guarded = await startGuarded(["--config", config, parent.path]);
  // Below the limit, so that the kernel has no part in it.
  await one.feed(47 * MIB);
  await feedWhileItLives(other, LIMIT);
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.cgroup, action.victim.pid], [taken.path, other.pid]);
  const events = await guarded.stop();
  assert.equal(killActionsOf(events).length, 1);
  assert.ok(isAlive(one.pid));
  const rules = ofType(events, "guard_armed").map(({ cgroup, rule }: Json) => [cgroup, rule]);
  assert.deepEqual(Object.fromEntries(rules), {
    [kept.path]: "left alone",
    [taken.path]: null,
  });
  const warned = events.filter(({ type, cgroup }: Json) =>
    type === "level_reached" && cgroup === kept.path
  );
  assert.equal(
    warned.find(({ level }: Json) => level === "warn").level_bytes,
    Math.floor(0.4 * LIMIT),
  );
});

for (const what of ["exempt = true", 'policy = "noop"']) {
  kernelTest(`what a rule leaves alone (${what}) is not taken from above either`, async () => {
    await using parent = makeRealCgroup("kept");
    parent.limit(LIMIT);
    const [kept, other] = [parent.child("db"), parent.child("web")];
    using folder = makeFolder();
    const config = folder.write(
      "c.toml",
      `[guard]\nrecursive = true\npolicy = "process"\n\n` +
        `[[guard.rule]]\ncgroup = "${kept.path}"\n${what}\n`,
    );
    await using big = await startHungryProcess(kept);
    await using small = await startHungryProcess(other);
    await big.feed(32 * MIB);
    await using guarded = await startGuarded(["--config", config, parent.path]);
    await feedWhileItLives(small, LIMIT);
    const action = await guarded.next(isKillAction);
    assert.equal(action.victim.pid, small.pid);
    const spared = action.candidates.find(({ pid }: Json) => pid === big.pid);
    assert.deepEqual(
      [spared.preference, spared.preference_reason],
      ["excluded", "excluded by the rule for its cgroup"],
    );
    await guarded.stop();
    assert.ok(isAlive(big.pid));
  });
}

kernelTest("to read a file that says the same does not begin a fight anew", async () => {
  await using cgroup = makeRealCgroup("same");
  cgroup.limit(LIMIT);
  using folder = makeFolder();
  const config = folder.write(
    "c.toml",
    '[guard]\npolicy = "process"\ngrace-period = "3s"\nmargin-ratio = 0.3\nmode = "notify"\n',
  );
  await using guarded = await startGuarded(["--config", config, cgroup.path]);
  await using stubborn = await startHungryProcess(cgroup, { before: 'trap "" TERM' });
  // In no hurry, so that the grace is not cut short.
  await feedSlowly(stubborn, () => guarded.events.some(isLevel("imminent")));
  const reparseOptions = () => guarded.stderr.split("configuration reloaded").length - 1;
  for (let times = 1; times <= 3; times++) {
    Deno.kill(guarded.pid, "SIGHUP");
    await until("it is read again", () => reparseOptions() === times);
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
  "SIGHUP reads the file again, and a mistake in it leaves everything as it was",
  async () => {
    await using cgroup = makeRealCgroup("reload");
    cgroup.limit(LIMIT);
    using folder = makeFolder();
    const rule = (name: string, policy: string) =>
      folder.write(
        "c.toml",
        `[[guard.rule]]\nname = "${name}"\ncgroup = "${cgroup.path}"\npolicy = "${policy}"\n`,
      );
    const config = rule("first", "noop");
    await using guarded = await startGuarded(["--config", config, cgroup.path]);
    await guarded.next(guardingOf(cgroup, "first"));
    rule("second", "kill");
    Deno.kill(guarded.pid, "SIGHUP");
    await until("the mistake is told", () => guarded.stderr.includes("stays in force"));
    assert.match(guarded.stderr, /c\.toml:4: policy = "kill": .*noop, process, container/);
    rule("third", "process");
    Deno.kill(guarded.pid, "SIGHUP");
    await guarded.next(guardingOf(cgroup, "third"));
    await using hungry = await startHungryProcess(cgroup);
    await feedWhileItLives(hungry, LIMIT);
    const action = await guarded.next(isKillAction);
    assert.deepEqual([action.outcome, action.victim.pid], ["killed", hungry.pid]);
    await guarded.stop();
  },
);

kernelTest("a rule that no longer asks for it puts back what its mode had changed", async () => {
  await using cgroup = makeRealCgroup("putback");
  cgroup.limit(LIMIT);
  using folder = makeFolder();
  const isChanged = () =>
    cgroup.version === 1
      ? /^oom_kill_disable 1$/m.test(cgroup.read("memory.oom_control"))
      : cgroup.read("memory.high").trim() !== "max";
  const mode = cgroup.version === 1 ? "hold" : "throttle";
  const config = folder.write("c.toml", `[guard]\nmode = "${mode}"\npolicy = "process"\n`);
  await using guarded = await startGuarded(["--config", config, cgroup.path]);
  assert.ok(isChanged());
  folder.write("c.toml", '[guard]\nmode = "notify"\npolicy = "process"\n');
  Deno.kill(guarded.pid, "SIGHUP");
  await guarded.next(({ type }) => type === "restored");
  await until("it is put back", () => !isChanged());
  await guarded.stop();
});

kernelTest("SIGHUP opens the log anew, and no event is lost between the two", async () => {
  await using cgroup = makeRealCgroup("log");
  cgroup.limit(LIMIT);
  using folder = makeFolder();
  const log = `${folder.path}/events.log`;
  await using guarded = await startGuarded(["--log-file", log, cgroup.path]);
  await until("the first line is there", () => Deno.statSync(log).size > 0);
  Deno.renameSync(log, `${log}.1`);
  Deno.kill(guarded.pid, "SIGHUP");
  await until(
    "that it was read again is told",
    () => guarded.stderr.includes("configuration reloaded"),
  );
  const events = await guarded.stop();
  const linesOf = (path: string) => Deno.readTextFileSync(path).trim().split("\n");
  const logged = [...linesOf(`${log}.1`), ...linesOf(log)].map((line) => JSON.parse(line));
  assert.deepEqual(logged, events);
});

/** A receiver that answers only when it is let. */
function slowReceiver() {
  const gate = Promise.withResolvers<void>();
  const bodies: Json[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (ask) => {
    bodies.push(await ask.json());
    await gate.promise;
    return new Response();
  });
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
  "a receiver that does not answer holds up no kill, and gets all of it later",
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
      // Longer than an emulated machine takes for it all: a request that is given up is sent once more.
      "--webhook-timeout",
      "10m",
    ];
    await using guarded = await startGuarded([...words, cgroup.path]);
    for (let round = 0; round < 3; round++) {
      await using hungry = await startHungryProcess(cgroup);
      await feedWhileItLives(hungry, LIMIT);
      await until(
        "it is killed and told of",
        () => killActionsOf(guarded.events).length === round + 1,
      );
    }
    // The first one is still waited for.
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
  "--exec is run after the deed, with the event on stdin and in the environment",
  async () => {
    await using cgroup = makeRealCgroup("exec");
    cgroup.limit(LIMIT);
    using folder = makeFolder();
    const told = `${folder.path}/told`;
    const command = `cat > ${told}.part; echo "$OOMKIT_EVENT_TYPE $OOMKIT_EVENT_VICTIM_PID" >> ` +
      `${told}.part; mv ${told}.part ${told}`;
    const words = ["--policy", "process", "--exec", command, "--event-types", "action"];
    await using guarded = await startGuarded([...words, cgroup.path]);
    await using hungry = await startHungryProcess(cgroup);
    await feedWhileItLives(hungry, LIMIT);
    const action = await guarded.next(isKillAction);
    await guarded.stop();
    const [event, variables] = Deno.readTextFileSync(told).trim().split("\n");
    assert.deepEqual(JSON.parse(event!), action);
    assert.equal(variables, `action ${hungry.pid}`);
  },
);
