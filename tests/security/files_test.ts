/** Files that oomkit trusts or writes, created by another user. */

import assert from "node:assert/strict";
import { Journal, restoreStale } from "../../core/control/journal.ts";
import { openResultFile } from "../../cli/output/files.ts";
import { LogFile } from "../../core/receivers/log_file.ts";
import { check, makeNode, write } from "../helpers/configured.ts";

const OTHER_UID = 65534;
const asRoot = { ignore: Deno.uid() !== 0 };

interface Place extends Disposable {
  readonly root: string;
  readonly state: string;
  /** Like a cgroup with memory.high 2000. */
  readonly dir: string;
  readonly inode: number;
  /** A file of root that oomkit must not touch. */
  readonly precious: string;
}

function makePlace(): Place {
  const root = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const place = { root, state: `${root}/state`, dir: `${root}/cgroup`, precious: `${root}/passwd` };
  for (const dir of [place.state, place.dir]) Deno.mkdirSync(dir, { mode: 0o755 });
  Deno.writeTextFileSync(`${place.dir}/cgroup.procs`, "");
  Deno.writeTextFileSync(`${place.dir}/memory.high`, "2000");
  Deno.writeTextFileSync(place.precious, "precious");
  return {
    ...place,
    inode: Deno.statSync(place.dir).ino!,
    [Symbol.dispose]: () => Deno.removeSync(root, { recursive: true }),
  };
}

/** Path of the journal before it is renamed. */
function temporaryIn(state: string): string {
  const stat = Deno.readTextFileSync("/proc/self/stat");
  const since = stat.slice(stat.lastIndexOf(")")).split(" ")[20];
  return `${state}/guard-${Deno.pid}-${since}.json.new`;
}

Deno.test("the journal is never written through a link in the state directory", () => {
  using place = makePlace();
  Deno.symlinkSync(place.precious, temporaryIn(place.state));
  const journal = new Journal(place.state);
  assert.equal(journal.change(place.dir, place.inode, "memory.high", "3000"), undefined);
  assert.equal(Deno.readTextFileSync(place.precious), "precious");
  const [{ name } = { name: "" }] = [...Deno.readDirSync(place.state)];
  const info = Deno.lstatSync(`${place.state}/${name}`);
  assert.deepEqual([info.isFile, info.mode! & 0o777], [true, 0o600]);
});

for (const mode of [0o777, 0o775]) {
  Deno.test(`the journal of a directory that other users can write is not trusted (${mode.toString(8)})`, () => {
    using place = makePlace();
    Deno.chmodSync(place.state, mode);
    const { dir, inode } = place;
    const change = { dir, inode, file: "memory.high", before: "1000", set: "2000" };
    Deno.writeTextFileSync(`${place.state}/guard-1-1.json`, JSON.stringify([change]));
    assert.deepEqual(restoreStale(place.state), []);
    assert.throws(
      () => new Journal(place.state).change(dir, inode, "memory.high", "3000"),
      /other users may write there; set OOMKIT_STATE_DIR to a directory that no other user/,
    );
    assert.equal(Deno.readTextFileSync(`${dir}/memory.high`), "2000");
  });
}

Deno.test("no journal is written into a directory of another user", asRoot, () => {
  using place = makePlace();
  Deno.chownSync(place.state, OTHER_UID, OTHER_UID);
  assert.throws(
    () => new Journal(place.state).change(place.dir, place.inode, "memory.high", "3000"),
    /it belongs to the user 65534/,
  );
  assert.equal(Deno.readTextFileSync(`${place.dir}/memory.high`), "2000");
});

Deno.test(
  "a log is written through a link of root, but not of another user",
  asRoot,
  async () => {
    using place = makePlace();
    const link = `${place.root}/events.log`;
    Deno.symlinkSync(place.precious, link);
    await new LogFile(link, assert.fail).close();
    new Deno.Command("chown", { args: ["-h", String(OTHER_UID), link] }).outputSync();
    assert.throws(() => new LogFile(link, assert.fail), /it is a symbolic link of the user 65534/);
    assert.equal(Deno.readTextFileSync(place.precious), "precious");
  },
);

Deno.test(
  "a result is written through an own link, but not of another user",
  asRoot,
  () => {
    using place = makePlace();
    const link = `${place.root}/report.json`;
    Deno.symlinkSync(place.precious, link);
    new Deno.Command("chown", { args: ["-h", String(OTHER_UID), link] }).outputSync();
    assert.throws(
      () => openResultFile(link, "the report"),
      /cannot write the report to .*: it is a symbolic link of the user 65534; name a writable file/,
    );
    assert.equal(Deno.readTextFileSync(place.precious), "precious");
    new Deno.Command("chown", { args: ["-h", String(Deno.uid()), link] }).outputSync();
    using file = openResultFile(link, "the report");
    file.write("{}");
    assert.equal(Deno.readTextFileSync(place.precious), "{}");
  },
);

Deno.test("a result can go to a pipe, and replaces a longer previous one", () => {
  using place = makePlace();
  const path = `${place.root}/report.json`;
  Deno.writeTextFileSync(path, "the previous content");
  using file = openResultFile(path, "the report");
  assert.equal(Deno.readTextFileSync(path), "");
  file.write("{}");
  assert.equal(Deno.readTextFileSync(path), "{}");
  const fifo = `${place.root}/pipe`;
  new Deno.Command("mkfifo", { args: [fifo] }).outputSync();
  using reader = Deno.openSync(fifo, { read: true, write: true });
  using pipe = openResultFile(fifo, "the report");
  pipe.write("{}");
  const got = new Uint8Array(2);
  reader.readSync(got);
  assert.equal(new TextDecoder().decode(got), "{}");
});

Deno.test("a world-writable configuration is refused, because it names commands", async () => {
  using tree = makeNode();
  using file = write('[guard]\nexec = "true"\n');
  assert.equal((await check(tree, file)).code, 0);
  Deno.chmodSync(file.path, 0o666);
  const { code, stderr } = await check(tree, file);
  assert.equal(code, 2);
  assert.match(stderr, /^oomkit: cannot read the configuration .*: all users may write it/);
});
