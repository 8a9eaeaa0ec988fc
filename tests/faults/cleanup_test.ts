/** A clean-up removes only what it has made, and causes no error, whatever the kernel answers. */

import assert from "node:assert/strict";
import { Journal, ownSuspensionLog, restoreStale } from "../../core/control/journal.ts";
import { createTemporaryDirectory, FakeTree } from "../../core/simulate/fake_tree.ts";
import { OomkitError } from "../../core/errors.ts";
import { makeDirectory } from "../helpers/directory.ts";
import { makeJournalPlace, outcomesOf } from "../helpers/journal_place.ts";
import { inject, type Wound } from "./injection.ts";
import { faultsAt } from "./kinds.ts";

const makePlace = () => makeJournalPlace({ "memory.high": "1000" });

const wounds = (path: string): Wound[] =>
  faultsAt("remove").map((fault) => ({ path, fault, from: 1 }));

Deno.test("a guard that has recorded nothing removes nothing", () => {
  using directory = makeDirectory();
  using injection = inject();
  assert.deepEqual(new Journal(directory.path).restore(), []);
  assert.deepEqual(injection.accesses.filter(({ moment }) => moment === "remove"), []);
});

Deno.test("settings are restored, also when the record of it cannot be removed", () => {
  for (const fault of faultsAt("remove")) {
    using place = makePlace();
    const journal = new Journal(place.directory);
    assert.equal(journal.prepareSuspensionLog(), undefined);
    journal.change(place.dir, place.inode, "memory.high", "2000");
    const paths = place.names().map((name) => `${place.directory}/${name}`);
    assert.equal(paths.length, 2);
    const all = paths.map((path) => ({ path, fault, from: 1 }));
    using injection = inject(all);
    assert.deepEqual(outcomesOf(journal.restore()), ["restored"], fault.name);
    assert.deepEqual(injection.hits, new Set(all));
    assert.equal(place.get(), "1000");
  }
});

Deno.test("what a killed guard left is restored, also when its record cannot be removed", () => {
  using place = makePlace();
  const stale = `${place.directory}/guard-${Deno.pid}-1.json`;
  for (const wound of wounds(stale)) {
    Deno.mkdirSync(place.directory, { recursive: true, mode: 0o700 });
    Deno.writeTextFileSync(stale, JSON.stringify([place.change]), { mode: 0o600 });
    Deno.writeTextFileSync(`${place.dir}/memory.high`, place.change.set);
    using injection = inject([wound]);
    assert.deepEqual(outcomesOf(restoreStale(place.directory)), ["restored"], wound.fault.name);
    assert.ok(injection.hits.has(wound));
    assert.equal(place.get(), "1000");
  }
});

Deno.test("a full disk under the record of suspensions does not end a kill", () => {
  using place = makePlace();
  const journal = new Journal(place.directory);
  assert.equal(journal.prepareSuspensionLog(), undefined);
  const log = ownSuspensionLog(place.directory);
  log.prepare();
  // Every write fails once the file is closed, as on a full disk.
  const begin = [{ ...place.change, file: "state", pid: 2 } as const];
  const { writeSync } = Deno.FsFile.prototype;
  try {
    Deno.FsFile.prototype.writeSync = () => {
      throw new Error("No space left on device (os error 28)");
    };
    log.begin(begin);
    log.end(begin);
  } finally {
    Deno.FsFile.prototype.writeSync = writeSync;
    log.close();
  }
  journal.restore();
});

Deno.test("a fake tree that cannot be removed stays, without an error", () => {
  for (const fault of faultsAt("remove")) {
    using directory = makeDirectory();
    const path = `${directory.path}/tree`;
    const state = { usage: 1, peak: 1, limit: 2, max: 0n, oom: 0n, oomKill: 0n, pids: [] };
    const tree = FakeTree.create(2, { ...state, stalled: 0n }, path);
    using injection = inject([{ path, fault, from: 1 }]);
    tree.remove();
    assert.equal(injection.hits.size, 1);
  }
});

Deno.test("without a temporary directory the error says what to do", () => {
  const before = Deno.env.get("TMPDIR");
  Deno.env.set("TMPDIR", "/nonexistent");
  try {
    assert.throws(
      createTemporaryDirectory,
      (error) => error instanceof OomkitError && error.message.includes("set TMPDIR"),
    );
  } finally {
    if (before === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", before);
  }
});
