import assert from "node:assert/strict";
import { missingProgram, runHook } from "../../../core/control/hook.ts";
import { setOwnOomScoreAdj } from "../../../core/control/oom_score_adj.ts";
import { makeDirectory } from "../../helpers/directory.ts";

const LONG_MS = 60_000;
const EVENT = '{"type":"level","cgroup":"/a $(touch x) \'\\"`"}';

const read = (path: string) => Deno.readTextFileSync(path);

Deno.test("a hook gets the event as one line on its stdin, as it is", async () => {
  using directory = makeDirectory();
  const command = `cd '${directory.path}' && cat > event`;
  assert.deepEqual(await runHook(command, EVENT, LONG_MS), { code: 0 });
  assert.equal(read(`${directory.path}/event`), `${EVENT}\n`);
  assert.deepEqual([...Deno.readDirSync(directory.path)].map(({ name }) => name), ["event"]);
});

Deno.test("a hook is a line of shell, with its pipes, quotes and status", async () => {
  assert.deepEqual(await runHook(`true; exit 3`, EVENT, LONG_MS), { code: 3 });
  assert.deepEqual(await runHook(`grep -c level | grep -qx '1' || exit 9`, EVENT, LONG_MS), {
    code: 0,
  });
  assert.deepEqual(await runHook("exec 2>&-; no-such-command-here", EVENT, LONG_MS), { code: 127 });
  assert.deepEqual(await runHook("kill -9 $$", EVENT, LONG_MS), { code: 137 });
});

Deno.test("a hook need not read its stdin", async () => {
  const long = "x".repeat(1024 ** 2);
  assert.deepEqual(await runHook("true", long, LONG_MS), { code: 0 });
  assert.deepEqual(await runHook("exec <&-; exit 4", long, LONG_MS), { code: 4 });
});

Deno.test("what a hook prints does not mix with the events", async () => {
  const command = "test /proc/self/fd/1 -ef /dev/null";
  assert.deepEqual(await runHook(command, EVENT, LONG_MS), { code: 0 });
});

Deno.test("a hook does not inherit the lowered oom_score_adj of the guard", {
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0,
}, async () => {
  using directory = makeDirectory();
  const before = Number(read("/proc/self/oom_score_adj"));
  // Only raised, which needs no capability.
  const score = setOwnOomScoreAdj(Math.min(1000, before + 5));
  try {
    await runHook(`cat /proc/self/oom_score_adj > '${directory.path}/score'`, EVENT, LONG_MS);
  } finally {
    score.restore();
  }
  assert.equal(read(`${directory.path}/score`), "0\n");
});

Deno.test("a hook that takes too long is killed with everything it has started, even when its stdin is unread", async () => {
  using directory = makeDirectory();
  const fifo = `${directory.path}/alive`;
  new Deno.Command("mkfifo", { args: [fifo] }).outputSync();
  const end = runHook(`exec 3> '${fifo}'; sleep 1000 & wait`, "x".repeat(1024 ** 2), 100);
  const pinned = await Deno.open(fifo);
  assert.deepEqual(await end, { failed: "it took longer than 100 ms and was killed" });
  // The other end is closed when the last process that has it open is gone.
  assert.equal(await pinned.read(new Uint8Array(1)), null);
  pinned.close();
});

Deno.test("a process that left the group and keeps the pipe open is not waited for", async () => {
  using directory = makeDirectory();
  const command = `exec 3<&0; setsid sleep 1000 <&3 & echo $! > '${directory.path}/pid'; wait`;
  const long = "x".repeat(1024 ** 2);
  const end = await runHook(command, long, 300);
  // It was not killed with the group; the pipe is closed when it exits.
  Deno.kill(Number(read(`${directory.path}/pid`)), "SIGKILL");
  assert.deepEqual(end, { failed: "it took longer than 300 ms and was killed" });
  await new Promise((resolve) => setTimeout(resolve, 50));
});

Deno.test("a hook is killed early on request, with the given reason", async () => {
  const ending = new AbortController();
  const end = runHook("sleep 1000", EVENT, LONG_MS, ending.signal);
  ending.abort("it was in the way");
  assert.deepEqual(await end, { failed: "it was in the way and was killed" });
  assert.deepEqual(await runHook("sleep 1000", EVENT, LONG_MS, ending.signal), {
    failed: "it was in the way and was killed",
  });
});

Deno.test("a background process of a hook that has exited keeps running", async () => {
  using directory = makeDirectory();
  const [go, done] = [`${directory.path}/go`, `${directory.path}/done`];
  new Deno.Command("mkfifo", { args: [go, done] }).outputSync();
  const command = `(read line < '${go}'; echo "$line" > '${done}') & exit 0`;
  assert.deepEqual(await runHook(command, EVENT, LONG_MS), { code: 0 });
  await Deno.writeTextFile(go, "on\n", { create: false });
  assert.equal(await Deno.readTextFile(done), "on\n");
});

Deno.test("a program that is not there is named, and nothing that only a shell understands", () => {
  using directory = makeDirectory();
  const script = directory.write("run.sh", "");
  const missing = ["./not-there.sh --now", "oomkit-not-there", script, " oomkit-not-there "];
  assert.deepEqual(missing.map(missingProgram), [
    "./not-there.sh",
    "oomkit-not-there",
    script,
    "oomkit-not-there",
  ]);
  Deno.chmodSync(script, 0o755);
  for (const fine of [script, "cat > /tmp/x", "read line; x", "a=1 oomkit-x", "$HOOK", "(x)", ""]) {
    assert.equal(missingProgram(fine), undefined, fine);
  }
});
