import assert from "node:assert/strict";
import { runHook } from "../../../core/control/hook.ts";
import { makeEvent } from "../../../core/events/event.ts";
import { ExecReceiver } from "../../../core/receivers/exec.ts";

const eventOf = (cgroup: string) => makeEvent(0, cgroup, "none", { type: "cgroup_created" });

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
  assert.deepEqual(lines, ["--exec: 100 events are waiting, and the oldest are dropped"]);
});

Deno.test("each kind of failure is reported once, and a failed command is not repeated", async () => {
  let count = 0;
  const { opened, lines, report } = exec(() => {
    count += 1;
    return Promise.resolve(count === 3 ? { failed: "it took longer than 1000 ms" } : { code: 7 });
  });
  ["/a", "/b", "/c", "/d"].forEach(report);
  await opened.close();
  assert.deepEqual(lines, ["--exec: it exited with 7", "--exec: it took longer than 1000 ms"]);
  assert.deepEqual(opened.counts(), { pending: 0, sent: 0, dropped: 4, failed: 4 });
});
