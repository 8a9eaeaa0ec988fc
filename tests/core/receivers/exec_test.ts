import assert from "node:assert/strict";
import { runHook } from "../../../core/control/hook.ts";
import { makeEvent } from "../../../core/events/event.ts";
import { ExecReceiver } from "../../../core/receivers/exec.ts";

const eventOf = (cgroup: string) => makeEvent(0, cgroup, "none", { type: "cgroup_created" });

/** What a guard repeats in a cgroup that stays full of page cache. */
const RECLAIM = makeEvent(0, "/a", "poll", {
  type: "action",
  action: "reclaim",
  outcome: "reclaimed",
  reason: null,
  level: "imminent",
  mode: "notify",
  dry_run: false,
  usage_before: 2,
  limit: 2,
  level_bytes: 1,
});

function exec(run: typeof runHook) {
  const lines: string[] = [];
  const warn = (line: string) => void lines.push(line);
  const opened = new ExecReceiver({ command: "x", timeout: 1000, run, warn });
  return { opened, lines, report: (cgroup: string) => opened.report(eventOf(cgroup)) };
}

Deno.test("a command gets the event on stdin and its fields in the environment", async () => {
  const file = Deno.makeTempFileSync();
  try {
    const command = `cat > ${file}; echo "$OOMKIT_EVENT_TYPE $OOMKIT_EVENT_CGROUP" >> ${file}`;
    const opened = new ExecReceiver({ command, timeout: 10_000, run: runHook, warn: assert.fail });
    opened.report(eventOf("/a b"));
    await opened.close();
    const [event, fields] = Deno.readTextFileSync(file).trim().split("\n");
    assert.deepEqual(JSON.parse(event!), eventOf("/a b"));
    assert.equal(fields, "cgroup_created /a b");
    assert.deepEqual(opened.counts(), { pending: 0, sent: 1, dropped: 0, failed: 0 });
  } finally {
    Deno.removeSync(file);
  }
});

Deno.test("at most four commands run in parallel, and beyond a hundred queued events the oldest are dropped", async () => {
  const gates: PromiseWithResolvers<void>[] = [];
  const cgroups: string[] = [];
  const { opened, lines, report } = exec(async (_, text) => {
    cgroups.push(JSON.parse(text).cgroup);
    const gate = Promise.withResolvers<void>();
    gates.push(gate);
    await gate.promise;
    return { code: 0 };
  });
  for (let n = 0; n < 150; n++) report(`/${n}`);
  assert.equal(gates.length, 4);
  assert.deepEqual(opened.counts(), { pending: 104, sent: 0, dropped: 46, failed: 0 });
  const closed = opened.close();
  for (let n = 0; n < 104; n++) {
    gates[n]!.resolve();
    while (gates.length < Math.min(104, n + 5)) await Promise.resolve();
  }
  await closed;
  assert.deepEqual(cgroups.slice(0, 5), ["/0", "/1", "/2", "/3", "/50"]);
  assert.equal(opened.counts().sent, 104);
  assert.deepEqual(lines, [
    "--exec x: 100 events are waiting, and the oldest are dropped",
    "--exec x: it did not run for 46 events (46 cgroup_created): too many were waiting",
  ]);
});

Deno.test("each kind of failure is reported once, and a failed command is not repeated", async () => {
  let count = 0;
  const { opened, lines, report } = exec(() => {
    count += 1;
    return Promise.resolve(count === 3 ? { failed: "it took longer than 1000 ms" } : { code: 7 });
  });
  ["/a", "/b", "/c", "/d"].forEach(report);
  await opened.close();
  assert.deepEqual(lines, ["--exec x: it exited with 7", "--exec x: it took longer than 1000 ms"]);
  assert.deepEqual(opened.counts(), { pending: 0, sent: 0, dropped: 4, failed: 4 });
});

const kill = (cgroup: string) =>
  makeEvent(0, cgroup, "kmsg", {
    type: "oom_kill",
    victim: null,
    limit_owner: null,
    limit: null,
    scope: "cgroup",
    inferred: false,
  });

Deno.test("the kill in one cgroup does not wait for all those of an OOM loop in another", async () => {
  const started: string[] = [];
  const { opened } = exec((_, text) => {
    started.push(JSON.parse(text).cgroup);
    return Promise.resolve({ code: 0 });
  });
  for (let n = 0; n < 500; n++) opened.report(kill("/loop"));
  for (const cgroup of ["/a", "/a", "/b"]) opened.report(kill(cgroup));
  await opened.close();
  assert.deepEqual(started.slice(0, 9), [
    ...Array(4).fill("/loop"),
    ...["/a", "/b", "/loop", "/a", "/loop"],
  ]);
  assert.equal(started.length, 503);
});

Deno.test("a kill runs its command while others are slow, and a flood neither delays nor drops it", async () => {
  const gate = Promise.withResolvers<void>();
  const started: string[] = [];
  const { opened, lines } = exec(async (_, text) => {
    const { type, cgroup } = JSON.parse(text);
    started.push(type === "oom_kill" ? cgroup : type);
    await gate.promise;
    return { code: 0 };
  });
  const flood = () => {
    for (let n = 0; n < 1000; n++) {
      opened.report(makeEvent(0, "/a", "poll", { type: "cgroup_created" }));
    }
  };
  flood();
  // More than the lane of the kills has room for.
  for (let n = 0; n < 11_000; n++) opened.report(RECLAIM);
  const cgroups = Array.from({ length: 1000 }, (_, n) => `/${n}`);
  for (const cgroup of cgroups) opened.report(kill(cgroup));
  assert.deepEqual(started, [...Array(4).fill("cgroup_created"), "/0", "/1", "/2", "/3"]);
  flood();
  assert.deepEqual([...opened.droppedByType()], [["cgroup_created", 1896], ["action", 11_000]]);
  gate.resolve();
  await opened.close();
  assert.deepEqual(started.filter((each) => each.startsWith("/")), cgroups, "in their order");
  assert.match(
    lines.at(-1)!,
    /did not run for 12896 events \(11000 action, 1896 cgroup_created\): too many/,
  );
});
