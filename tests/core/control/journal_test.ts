import assert from "node:assert/strict";
import { Journal, restoreStale, runningGuards } from "../../../core/control/journal.ts";
import { OomkitError } from "../../../core/errors.ts";
import { makeJournalPlace, outcomesOf } from "../../helpers/journal_place.ts";
import { startTimeOf } from "../../helpers/process_state.ts";

const makePlace = () => makeJournalPlace({ "memory.high": "1000" });

/** Not the start time of the process that has the pid now: the pid was reused. */
const DEAD = `guard-${Deno.pid}-1.json`;

Deno.test("a change is restored, and the journal is removed", () => {
  using place = makePlace();
  const journal = new Journal(place.directory);
  assert.equal(journal.change(place.dir, place.inode, "memory.high", "2000"), undefined);
  assert.equal(place.get(), "2000");
  assert.ok(journal.isOurs(place.dir, "memory.high"));
  assert.deepEqual(outcomesOf(journal.restore()), ["restored"]);
  assert.equal(place.get(), "1000");
  assert.deepEqual(place.names(), []);
  assert.deepEqual(journal.restore(), []);
});

Deno.test("the journal records the previous value, readable for its user only", () => {
  using place = makePlace();
  const journal = new Journal(place.directory);
  journal.change(place.dir, place.inode, "memory.high", "2000");
  const name = `guard-${Deno.pid}-${startTimeOf(Deno.pid)}.json`;
  assert.deepEqual(place.names(), [name]);
  const text = Deno.readTextFileSync(`${place.directory}/${name}`);
  assert.deepEqual(JSON.parse(text), [place.change]);
  assert.equal(Deno.statSync(`${place.directory}/${name}`).mode! & 0o777, 0o600);
  assert.equal(Deno.statSync(place.directory).mode! & 0o777, 0o700);
});

Deno.test("what cannot be recorded is not changed", () => {
  using place = makePlace();
  Deno.writeTextFileSync(place.directory, "a file where the directory would be");
  const journal = new Journal(place.directory);
  assert.throws(
    () => journal.change(place.dir, place.inode, "memory.high", "2000"),
    (error) => error instanceof OomkitError && /^cannot record changes in .*: /.test(error.message),
  );
  assert.equal(place.get(), "1000");
});

Deno.test("after several changes the first value is restored", () => {
  using place = makePlace();
  const journal = new Journal(place.directory);
  for (const value of ["2000", "3000", "2000"]) {
    assert.equal(journal.change(place.dir, place.inode, "memory.high", value), undefined);
  }
  assert.equal(journal.restore().length, 1);
  assert.equal(place.get(), "1000");
});

Deno.test("a value that another program has set stays", () => {
  using place = makePlace();
  const journal = new Journal(place.directory);
  journal.change(place.dir, place.inode, "memory.high", "2000");
  place.set("7000");
  assert.ok(!journal.isOurs(place.dir, "memory.high"));
  assert.deepEqual(outcomesOf(journal.restore()), ["changed"]);
  assert.equal(place.get(), "7000");
});

Deno.test("a value that another program has set between two changes is the one restored", () => {
  using place = makePlace();
  const journal = new Journal(place.directory);
  journal.change(place.dir, place.inode, "memory.high", "2000");
  place.set("7000");
  journal.change(place.dir, place.inode, "memory.high", "3000");
  journal.restore();
  assert.equal(place.get(), "7000");
});

Deno.test("a new cgroup of the same name is neither changed nor restored", () => {
  using place = makePlace();
  const journal = new Journal(place.directory);
  assert.equal(
    journal.change(place.dir, place.inode + 1, "memory.high", "2000"),
    "the cgroup is gone",
  );
  assert.deepEqual([place.get(), place.names()], ["1000", []]);
  journal.change(place.dir, place.inode, "memory.high", "2000");
  Deno.renameSync(place.dir, `${place.dir}-old`);
  Deno.mkdirSync(place.dir);
  Deno.writeTextFileSync(`${place.dir}/cgroup.procs`, "");
  place.set("2000");
  assert.deepEqual(outcomesOf(journal.restore()), ["gone"]);
  assert.equal(place.get(), "2000");
});

Deno.test("a second change is recorded with the first value set, which the file may still hold", () => {
  using place = makePlace();
  const journal = new Journal(place.directory);
  journal.change(place.dir, place.inode, "memory.high", "2000");
  journal.change(place.dir, place.inode, "memory.high", "3000");
  const [name] = place.names();
  const [change] = JSON.parse(Deno.readTextFileSync(`${place.directory}/${name}`));
  assert.deepEqual([change.before, change.set, change.earlier], ["1000", "3000", "2000"]);
});

Deno.test("a refused change is reported and leaves no record", () => {
  using place = makePlace();
  const journal = new Journal(place.directory);
  const missing = journal.change(place.dir, place.inode, "memory.oom_control", "1");
  assert.equal(missing, "no such file");
  Deno.removeSync(`${place.dir}/memory.high`);
  Deno.symlinkSync("/proc/self/oom_score_adj", `${place.dir}/memory.high`);
  const refused = journal.change(place.dir, place.inode, "memory.high", "much");
  assert.equal(refused, "the kernel refused the value");
  assert.deepEqual(place.names(), []);
});

Deno.test("one file or one cgroup is restored, and the rest stays on record", () => {
  using place = makePlace();
  const other = `${place.dir}/child`;
  Deno.mkdirSync(other);
  Deno.writeTextFileSync(`${other}/memory.high`, "1000");
  const journal = new Journal(place.directory);
  journal.change(place.dir, place.inode, "memory.high", "2000");
  journal.change(other, Deno.statSync(other).ino!, "memory.high", "2000");
  assert.deepEqual(journal.restore(other, "memory.oom_control"), []);
  assert.deepEqual(journal.restore(other).map(({ dir }) => dir), [other]);
  assert.deepEqual([place.get(), place.names().length], ["2000", 1]);
  journal.restore();
  assert.equal(place.get(), "1000");
});

Deno.test("only what could not be restored stays on record, and is tried again", () => {
  using place = makePlace();
  const now = Deno.readTextFileSync("/proc/self/oom_score_adj").trim().padEnd(4);
  const file = `${place.dir}/memory.high`;
  const child = `${place.dir}/child`;
  Deno.mkdirSync(child);
  Deno.writeTextFileSync(`${child}/memory.high`, "1000");
  place.set("much");
  const journal = new Journal(place.directory);
  journal.change(place.dir, place.inode, "memory.high", now);
  journal.change(child, Deno.statSync(child).ino!, "memory.high", "2000");
  Deno.removeSync(file);
  Deno.symlinkSync("/proc/self/oom_score_adj", file);
  const [first, second] = journal.restore();
  assert.deepEqual([first?.dir, first?.outcome], [child, "restored"]);
  assert.deepEqual([second?.outcome, second?.reason], ["failed", "the kernel refused the value"]);
  assert.equal(place.names().length, 1);
  Deno.removeSync(file);
  place.set(now);
  assert.deepEqual(outcomesOf(journal.restore()), ["restored"]);
  assert.deepEqual([place.get(), place.names()], ["much", []]);
});

Deno.test("the changes of a dead guard are restored, the last one first, and its journal is removed", () => {
  using place = makePlace();
  place.set("3000");
  const changes = [place.change, { ...place.change, before: "2000", set: "3000" }];
  place.leave(changes, DEAD);
  assert.deepEqual(outcomesOf(restoreStale(place.directory)), ["restored", "restored"]);
  assert.equal(place.get(), "1000");
  assert.deepEqual(place.names(), []);
});

Deno.test("a guard that ended between record and write has left the value that it had set before", () => {
  using place = makePlace();
  place.set("3000");
  place.leave([{ ...place.change, earlier: "3000" }], DEAD);
  assert.deepEqual(outcomesOf(restoreStale(place.directory)), ["restored"]);
  assert.equal(place.get(), "1000");
});

Deno.test("a stale change that cannot be restored is kept for the next time", () => {
  using place = makePlace();
  Deno.removeSync(`${place.dir}/memory.high`);
  Deno.symlinkSync("/proc/self/oom_score_adj", `${place.dir}/memory.high`);
  const set = place.get().trim();
  place.leave([{ ...place.change, before: "much", set }], DEAD);
  assert.deepEqual(outcomesOf(restoreStale(place.directory)), ["failed"]);
  assert.equal(place.names().length, 1);
});

Deno.test("a running guard keeps its changes, and no other guard changes the file", () => {
  using place = makePlace();
  place.set("2000");
  const since = startTimeOf(Deno.ppid);
  place.leave([place.change], `guard-${Deno.ppid}-${since}.json`);
  assert.deepEqual(restoreStale(place.directory), []);
  assert.deepEqual(runningGuards(place.directory), [Deno.ppid]);
  const refused = new Journal(place.directory).change(
    place.dir,
    place.inode,
    "memory.high",
    "3000",
  );
  assert.equal(refused, `the guard with pid ${Deno.ppid} has changed it`);
  assert.equal(place.get(), "2000");
  assert.deepEqual(place.names(), [`guard-${Deno.ppid}-${since}.json`]);
});

Deno.test("of v1's memory.oom_control only the switch is compared and restored", () => {
  using place = makePlace();
  const file = `${place.dir}/memory.oom_control`;
  const change = { ...place.change, file: "memory.oom_control", before: "0", set: "1" };
  Deno.writeTextFileSync(file, "oom_kill_disable 1\nunder_oom 1\noom_kill 0\n");
  place.leave([change], DEAD);
  assert.deepEqual(outcomesOf(restoreStale(place.directory)), ["restored"]);
  assert.equal(Deno.readTextFileSync(file)[0], "0");
  const off = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
  Deno.writeTextFileSync(file, off);
  place.leave([change], DEAD);
  assert.deepEqual(outcomesOf(restoreStale(place.directory)), ["restored"]);
  assert.equal(Deno.readTextFileSync(file), off);
});
