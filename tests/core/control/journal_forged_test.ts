/** Journals that no guard wrote: placing one in the directory must not get a file changed. */

import assert from "node:assert/strict";
import { Journal, restoreStale, runningGuards } from "../../../core/control/journal.ts";
import { isThere } from "../../helpers/is_there.ts";
import { makeJournalPlace } from "../../helpers/journal_place.ts";
import { startTimeOf } from "../../helpers/process_state.ts";

const makePlace = () =>
  makeJournalPlace({ "cgroup.procs": "2000", "memory.high": "2000", "memory.max": "2000" });

Deno.test("a file with another name is not a journal and stays", () => {
  using place = makePlace();
  const names = [
    "guard-1.json",
    "guard-x-1.json",
    "guard-1-1.json.old",
    "xguard-1-1.json",
    "1.json",
  ];
  const paths = names.map((name) => place.leave([place.change], name));
  assert.deepEqual(restoreStale(place.directory), []);
  assert.equal(place.get(), "2000");
  assert.ok(paths.every(isThere));
});

Deno.test("the incomplete journal of a killed guard is ignored and removed", () => {
  using place = makePlace();
  const path = place.leave([place.change], "guard-1-1.json.new");
  assert.deepEqual(restoreStale(place.directory), []);
  assert.equal(place.get(), "2000");
  assert.equal(isThere(path), false);
});

Deno.test("a link, a directory and a FIFO with the name of a journal are skipped", () => {
  using place = makePlace();
  const elsewhere = place.leave([place.change], "elsewhere");
  Deno.symlinkSync(elsewhere, `${place.directory}/guard-1-1.json`);
  Deno.mkdirSync(`${place.directory}/guard-1-2.json`);
  new Deno.Command("mkfifo", { args: [`${place.directory}/guard-1-3.json`] }).outputSync();
  assert.deepEqual(restoreStale(place.directory), []);
  assert.equal(place.get(), "2000");
});

Deno.test("without a directory there is nothing to restore", () => {
  using place = makePlace();
  assert.deepEqual(restoreStale(`${place.directory}/none`), []);
  assert.deepEqual(runningGuards(`${place.directory}/none`), []);
});

Deno.test("another user's journal is neither trusted nor removed", {
  ignore: Deno.uid() !== 0,
}, () => {
  using place = makePlace();
  const since = startTimeOf(Deno.ppid);
  const paths = [
    place.leave([place.change]),
    place.leave([place.change], `guard-${Deno.ppid}-${since}.json`),
  ];
  for (const path of paths) Deno.chownSync(path, 65534, 65534);
  assert.deepEqual(restoreStale(place.directory), []);
  assert.deepEqual(runningGuards(place.directory), []);
  assert.equal(place.get(), "2000");
  assert.ok(paths.every(isThere));
  const journal = new Journal(place.directory);
  assert.equal(journal.change(place.dir, place.inode, "memory.high", "3000"), undefined);
});

Deno.test("a journal that is not a list of changes is ignored and removed", () => {
  for (const content of ["", "{", "null", "7", '"x"', "{}", "[", "[null", '{"0":{}}', "\0"]) {
    using place = makePlace();
    const path = place.leave(content);
    assert.deepEqual(restoreStale(place.directory), [], content);
    assert.ok(!isThere(path), content);
  }
});

Deno.test("an entry that is not a change is skipped, and the others are restored", () => {
  using place = makePlace();
  place.leave([null, 7, "x", [], {}, place.change]);
  assert.deepEqual(restoreStale(place.directory).map(({ outcome }) => outcome), ["restored"]);
  assert.equal(place.get(), "1000");
});

Deno.test("no entry changes another file, another cgroup, or a value that differs from the record", () => {
  const lies: [Record<string, unknown>, string][] = [
    [{ file: "memory.max" }, "another control file"],
    [{ file: "cgroup.procs" }, "a control file that moves processes"],
    [{ file: "../cgroup/memory.high" }, "a file by a path"],
    [{ file: ["memory.high"] }, "a file that is not text"],
    [{ file: undefined }, "no file"],
    [{ before: 1000 }, "a number for a value"],
    [{ before: undefined }, "no value"],
    [{ inode: "1" }, "an inode that is not a number"],
    [{ inode: undefined }, "no inode"],
    [{ inode: 1 }, "another inode"],
    [{ set: "3000" }, "a value that the file does not hold"],
    [{ set: undefined }, "no value that was set"],
    [{ dir: 7 }, "a directory that is not text"],
  ];
  for (const [lie, what] of lies) {
    using place = makePlace();
    place.leave([{ ...place.change, ...lie }]);
    const restored = restoreStale(place.directory);
    assert.ok(restored.every(({ outcome }) => outcome === "gone" || outcome === "changed"), what);
    for (const file of ["memory.high", "memory.max", "cgroup.procs"]) {
      assert.equal(place.get(file), "2000", what);
    }
  }
});

Deno.test("a directory that is not a cgroup is not touched", () => {
  using place = makePlace();
  Deno.removeSync(`${place.dir}/cgroup.procs`);
  place.leave([place.change]);
  assert.deepEqual(restoreStale(place.directory), []);
  assert.equal(place.get(), "2000");
});
