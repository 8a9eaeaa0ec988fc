import assert from "node:assert/strict";
import { openJournal, ownSuspensionLog, restoreStale } from "../../../core/control/journal.ts";
import type { Suspension } from "../../../core/control/change.ts";
import { suspendedProcess } from "../../../core/control/suspension_log.ts";
import { libc } from "../../../core/kernel/libc.ts";
import { stateOf } from "../../helpers/process_state.ts";

// Loaded once and kept, outside of what counts as a test's own.
libc();

interface Sleeper extends AsyncDisposable {
  readonly pid: number;
  state(): string;
  stop(): Promise<void>;
}

/** A process that waits, and can be stopped. */
function startSleeper(): Sleeper {
  const child = new Deno.Command("cat", { stdin: "piped", stdout: "null" }).spawn();
  const state = () => stateOf(child.pid);
  return {
    pid: child.pid,
    state,
    async stop() {
      child.kill("SIGSTOP");
      // Nothing tells of it but the process itself.
      while (state() !== "T") await new Promise((resolve) => setTimeout(resolve, 1));
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.stdin.close().catch(() => {});
      await child.status;
    },
  };
}

function makeFolder() {
  const path = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  return {
    path,
    /** As a guard would that is there no longer. */
    leave: (suspensions: readonly Suspension[]) =>
      Deno.writeTextFileSync(`${path}/guard-1-1.pauses`, `${JSON.stringify(suspensions)}\nrest`),
    names: () => [...Deno.readDirSync(path)].map(({ name }) => name),
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

const outcomes = (restored: readonly { readonly outcome: string }[]) =>
  restored.map(({ outcome }) => outcome);

Deno.test("who was stopped by a guard that is gone goes on, and nothing is left on record", async () => {
  await using sleeper = startSleeper();
  using folder = makeFolder();
  using cgroup = makeFolder();
  Deno.writeTextFileSync(`${cgroup.path}/cgroup.procs`, `${sleeper.pid}\n`);
  await sleeper.stop();
  folder.leave([suspendedProcess(cgroup.path, sleeper.pid)]);
  assert.deepEqual(outcomes(restoreStale(folder.path)), ["restored"]);
  assert.notEqual(sleeper.state(), "T");
  assert.deepEqual(folder.names(), []);
});

Deno.test("who has the pid of one that was stopped, elsewhere, is left as he is", async () => {
  await using sleeper = startSleeper();
  using folder = makeFolder();
  using cgroup = makeFolder();
  Deno.writeTextFileSync(`${cgroup.path}/cgroup.procs`, "1\n");
  await sleeper.stop();
  folder.leave([suspendedProcess(cgroup.path, sleeper.pid)]);
  assert.deepEqual(outcomes(restoreStale(folder.path)), ["gone"]);
  assert.equal(sleeper.state(), "T");
});

Deno.test("a cgroup that was frozen is thawed, unless another has its name", () => {
  using folder = makeFolder();
  using cgroup = makeFolder();
  const file = `${cgroup.path}/freezer.state`;
  Deno.writeTextFileSync(`${cgroup.path}/cgroup.procs`, "");
  Deno.writeTextFileSync(file, "FROZEN");
  const inode = Deno.statSync(cgroup.path).ino!;
  const texts = { file: "freezer.state", set: "FROZEN", before: "THAWED" } as const;
  folder.leave([{ dir: cgroup.path, inode: inode + 1, ...texts }]);
  assert.deepEqual(outcomes(restoreStale(folder.path)), ["gone"]);
  assert.equal(Deno.readTextFileSync(file), "FROZEN");
  folder.leave([{ dir: cgroup.path, inode, ...texts }]);
  assert.deepEqual(outcomes(restoreStale(folder.path)), ["restored"]);
  assert.equal(Deno.readTextFileSync(file), "THAWED");
});

Deno.test("who is stopped is on record until he goes on, and goes on at the end in any case", async () => {
  await using sleeper = startSleeper();
  using folder = makeFolder();
  using cgroup = makeFolder();
  Deno.writeTextFileSync(`${cgroup.path}/cgroup.procs`, `${sleeper.pid}\n`);
  const journal = openJournal(folder.path);
  assert.equal(journal.prepareSuspensionLog(), undefined);
  const suspensions = ownSuspensionLog(folder.path);
  suspensions.prepare();
  const pause = suspendedProcess(cgroup.path, sleeper.pid);
  suspensions.begin([pause]);
  suspensions.end([pause]);
  assert.equal(Deno.readTextFileSync(`${folder.path}/${folder.names()[0]}`).split("\n")[0], "[]");
  suspensions.begin([pause]);
  await sleeper.stop();
  assert.deepEqual(outcomes(journal.restore()), ["restored"]);
  assert.notEqual(sleeper.state(), "T");
  assert.deepEqual(folder.names(), []);
  suspensions.close();
});

Deno.test("what is no record of pauses does nothing, and goes", () => {
  using folder = makeFolder();
  for (const text of ["", "nothing", "{}", "[1]", '[{"dir":"/a","file":"state","pid":1}]']) {
    Deno.writeTextFileSync(`${folder.path}/guard-1-1.pauses`, text);
    assert.deepEqual(restoreStale(folder.path), [], text);
    assert.deepEqual(folder.names(), [], text);
  }
});

Deno.test("a guard that has ended is at work no longer, also before anybody has waited for it", async () => {
  using folder = makeFolder();
  // A shell waits for its children, while what it has become does not: the child's end is not to come before that.
  const child = 'until read -r comm < /proc/$PPID/comm && [ "$comm" = cat ]; do :; done';
  const script = `sh -c '${child}' & echo $!; exec cat`;
  const parent = new Deno.Command("sh", { args: ["-c", script], stdin: "piped", stdout: "piped" })
    .spawn();
  const reader = parent.stdout.getReader();
  const pid = Number(new TextDecoder().decode((await reader.read()).value));
  while (stateOf(pid) !== "Z") await new Promise((resolve) => setTimeout(resolve, 1));
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const since = stat.slice(stat.lastIndexOf(")")).split(" ")[20];
  Deno.writeTextFileSync(`${folder.path}/guard-${pid}-${since}.pauses`, "[]\n");
  restoreStale(folder.path);
  assert.deepEqual(folder.names(), []);
  await parent.stdin.close();
  await reader.cancel();
  await parent.status;
});
