import assert from "node:assert/strict";
import {
  Journal,
  ownSuspensionLog,
  restoreStale,
  suspendedProcess,
  type Suspension,
} from "../../../core/control/journal.ts";
import { libc } from "../../../core/kernel/libc.ts";
import { outcomesOf } from "../../helpers/journal_place.ts";
import { startTimeOf, stateOf } from "../../helpers/process_state.ts";

// Loaded before the tests: within one, a library that stays loaded counts as a leak.
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
      while (state() !== "T") await new Promise((resolve) => setTimeout(resolve, 1));
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.stdin.close().catch(() => {});
      await child.status;
    },
  };
}

function makeDirectory() {
  const path = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  return {
    path,
    /** Writes the record of a guard that has ended. */
    leave: (suspensions: readonly Suspension[]) =>
      Deno.writeTextFileSync(`${path}/guard-1-1.pauses`, `${JSON.stringify(suspensions)}\nrest`),
    names: () => [...Deno.readDirSync(path)].map(({ name }) => name),
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

Deno.test("a process that was stopped by a dead guard is resumed, and the record is removed", async () => {
  await using sleeper = startSleeper();
  using directory = makeDirectory();
  using cgroup = makeDirectory();
  Deno.writeTextFileSync(`${cgroup.path}/cgroup.procs`, `${sleeper.pid}\n`);
  await sleeper.stop();
  directory.leave([suspendedProcess(cgroup.path, sleeper.pid)]);
  assert.deepEqual(outcomesOf(restoreStale(directory.path)), ["restored"]);
  assert.notEqual(sleeper.state(), "T");
  assert.deepEqual(directory.names(), []);
});

Deno.test("a process elsewhere with the pid of a stopped one is left alone", async () => {
  await using sleeper = startSleeper();
  using directory = makeDirectory();
  using cgroup = makeDirectory();
  Deno.writeTextFileSync(`${cgroup.path}/cgroup.procs`, "1\n");
  await sleeper.stop();
  directory.leave([suspendedProcess(cgroup.path, sleeper.pid)]);
  assert.deepEqual(outcomesOf(restoreStale(directory.path)), ["gone"]);
  assert.equal(sleeper.state(), "T");
});

Deno.test("a frozen cgroup is thawed, unless a new one has its name", () => {
  using directory = makeDirectory();
  using cgroup = makeDirectory();
  const file = `${cgroup.path}/freezer.state`;
  Deno.writeTextFileSync(`${cgroup.path}/cgroup.procs`, "");
  Deno.writeTextFileSync(file, "FROZEN");
  const inode = Deno.statSync(cgroup.path).ino!;
  const texts = { file: "freezer.state", set: "FROZEN", before: "THAWED" } as const;
  directory.leave([{ dir: cgroup.path, inode: inode + 1, ...texts }]);
  assert.deepEqual(outcomesOf(restoreStale(directory.path)), ["gone"]);
  assert.equal(Deno.readTextFileSync(file), "FROZEN");
  directory.leave([{ dir: cgroup.path, inode, ...texts }]);
  assert.deepEqual(outcomesOf(restoreStale(directory.path)), ["restored"]);
  assert.equal(Deno.readTextFileSync(file), "THAWED");
});

Deno.test("a stopped process is on record until it is resumed, and is resumed at the end in any case", async () => {
  await using sleeper = startSleeper();
  using directory = makeDirectory();
  using cgroup = makeDirectory();
  Deno.writeTextFileSync(`${cgroup.path}/cgroup.procs`, `${sleeper.pid}\n`);
  const journal = new Journal(directory.path);
  assert.equal(journal.prepareSuspensionLog(), undefined);
  const suspensions = ownSuspensionLog(directory.path);
  suspensions.prepare();
  const suspension = suspendedProcess(cgroup.path, sleeper.pid);
  suspensions.begin([suspension]);
  suspensions.end([suspension]);
  assert.equal(
    Deno.readTextFileSync(`${directory.path}/${directory.names()[0]}`).split("\n")[0],
    "[]",
  );
  suspensions.begin([suspension]);
  await sleeper.stop();
  assert.deepEqual(outcomesOf(journal.restore()), ["restored"]);
  assert.notEqual(sleeper.state(), "T");
  assert.deepEqual(directory.names(), []);
  suspensions.close();
});

Deno.test("a file that is not a record of suspensions does nothing and is removed", () => {
  using directory = makeDirectory();
  for (const text of ["", "nothing", "{}", "[1]", '[{"dir":"/a","file":"state","pid":1}]']) {
    Deno.writeTextFileSync(`${directory.path}/guard-1-1.pauses`, text);
    assert.deepEqual(restoreStale(directory.path), [], text);
    assert.deepEqual(directory.names(), [], text);
  }
});

Deno.test("a guard that has exited counts as ended even while it is a zombie", async () => {
  using directory = makeDirectory();
  // A shell waits for its children, cat does not: the child must not exit before the shell has become cat.
  const child = 'until read -r comm < /proc/$PPID/comm && [ "$comm" = cat ]; do :; done';
  const script = `sh -c '${child}' & echo $!; exec cat`;
  const parent = new Deno.Command("sh", { args: ["-c", script], stdin: "piped", stdout: "piped" })
    .spawn();
  const reader = parent.stdout.getReader();
  const pid = Number(new TextDecoder().decode((await reader.read()).value));
  while (stateOf(pid) !== "Z") await new Promise((resolve) => setTimeout(resolve, 1));
  Deno.writeTextFileSync(`${directory.path}/guard-${pid}-${startTimeOf(pid)}.pauses`, "[]\n");
  restoreStale(directory.path);
  assert.deepEqual(directory.names(), []);
  await parent.stdin.close();
  await reader.cancel();
  await parent.status;
});
