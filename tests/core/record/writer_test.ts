import assert from "node:assert/strict";
import { recordingClock } from "../../../core/record/clock.ts";
import { openRecordFile } from "../../../core/record/writer.ts";
import { makeFolder } from "../../helpers/folder.ts";
import { cgroup, head, readAll, snapshots } from "./recording.ts";

// Loads the C library, which stays.
recordingClock();

const options = { max: 1024 ** 2, force: false, warn: () => {} };
const lines = [head, cgroup, ...snapshots(1000)];

for (const name of ["r.jsonl", "r.jsonl.gz"]) {
  Deno.test(`what is recorded in ${name} is what was told, and then the end`, async () => {
    using folder = makeFolder();
    const path = `${folder.path}/${name}`;
    const file = await openRecordFile(path, options);
    lines.forEach(file.line);
    await file.close();
    const read = await readAll(path);
    assert.deepEqual(read.slice(0, -1), lines);
    assert.deepEqual({ ...read.at(-1)!, at: 0 }, { type: "end", at: 0, reason: "ended" });
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    assert.equal(Deno.readFileSync(path)[0] === 0x1f, name.endsWith(".gz"));
  });

  Deno.test(`${name} grows no further than it may, says so once, and is read all the same`, async () => {
    using folder = makeFolder();
    const path = `${folder.path}/${name}`;
    const told: string[] = [];
    const max = 4096;
    const file = await openRecordFile(path, {
      ...options,
      max,
      warn: (line) => told.push(line),
    });
    [head, cgroup, ...snapshots(20_000)].forEach(file.line);
    await file.close();
    file.line(cgroup);
    const read = await readAll(path);
    assert.ok(Deno.statSync(path).size <= max);
    assert.ok(Deno.statSync(path).size > max / 3);
    assert.deepEqual(
      read.slice(0, -1),
      [head, cgroup, ...snapshots(20_000)].slice(0, read.length - 1),
    );
    assert.deepEqual({ ...read.at(-1)!, at: 0 }, { type: "end", at: 0, reason: "full" });
    assert.equal(told.length, 1);
    assert.match(told[0]!, /^oomkit: the recording .* is full: the run goes on without it$/);
  });
}

Deno.test("however many cgroups are described at once, what was recorded can be read", async () => {
  using folder = makeFolder();
  const path = `${folder.path}/r`;
  const file = await openRecordFile(path, { ...options, max: 1024 ** 3 });
  const long = `/${"x".repeat(1000)}`;
  const described = (id: number) => ({ ...cgroup, id, path: `${long}${id}`, usage_cgroup: long });
  const ids = Array.from({ length: 40_000 }, (_, n) => n + 1);
  [head, ...ids.map(described)].forEach(file.line);
  const samples = ids.map((id) => ({ type: "snapshot", at: 1_000_001, id, usage: 1 }) as const);
  samples.forEach(file.line);
  await file.close();
  const read = await readAll(path);
  const known = new Set(read.flatMap((line) => line.type === "cgroup" ? [line.id] : []));
  assert.ok(known.size > 20_000);
  assert.ok(known.size < ids.length);
  assert.ok(read.every((line) => line.type !== "snapshot" || known.has(line.id)));
});

Deno.test("where nothing more can be written it is said once, and nothing is thrown", async () => {
  using folder = makeFolder();
  const told: string[] = [];
  const warn = (line: string) => void told.push(line);
  const file = await openRecordFile(`${folder.path}/r`, { ...options, warn });
  // Whatever is wrong with the disk, the file cannot be written any more.
  using broken = breakWrites("No space left on device (os error 28)");
  lines.forEach(file.line);
  await broken.tried;
  lines.forEach(file.line);
  await file.close();
  assert.equal(told.length, 1);
  assert.match(told[0]!, /cannot write the recording .*: No space left on device; the run goes on/);
});

function breakWrites(why: string): Disposable & { readonly tried: Promise<void> } {
  const { write } = Deno.FsFile.prototype;
  const { promise, resolve } = Promise.withResolvers<void>();
  Deno.FsFile.prototype.write = () => {
    resolve();
    return Promise.reject(new Error(why));
  };
  return { tried: promise, [Symbol.dispose]: () => void (Deno.FsFile.prototype.write = write) };
}

Deno.test("a file that is there stays as it is, and with force makes room", async () => {
  using folder = makeFolder();
  const path = folder.write("r", "mine");
  await assert.rejects(
    openRecordFile(path, options),
    /cannot write the recording to .*: it is there already; name another, or give --force/,
  );
  assert.equal(Deno.readTextFileSync(path), "mine");
  const file = await openRecordFile(path, { ...options, force: true });
  [head, cgroup].forEach(file.line);
  await file.close();
  assert.equal((await readAll(path))[0]?.type, "recording");
});

Deno.test("a link is not followed: who it leads to stays as it is", async () => {
  using folder = makeFolder();
  const other = folder.write("other", "mine");
  const path = `${folder.path}/r`;
  Deno.symlinkSync(other, path);
  await assert.rejects(openRecordFile(path, options), /it is there already/);
  const file = await openRecordFile(path, { ...options, force: true });
  [head, cgroup].forEach(file.line);
  await file.close();
  assert.equal(Deno.readTextFileSync(other), "mine");
  assert.ok(Deno.lstatSync(path).isFile);
});

Deno.test("a link to what is no file makes no room, and neither does one such as /dev/stdout", async () => {
  using folder = makeFolder();
  const path = `${folder.path}/r`;
  for (const target of [folder.path, "/dev/null", "/proc/self/fd/0"]) {
    Deno.symlinkSync(target, path);
    await assert.rejects(openRecordFile(path, { ...options, force: true }), /is no file/);
    assert.equal(Deno.readLinkSync(path), target);
    Deno.removeSync(path);
  }
});

Deno.test("a run that ends before it has seen anything leaves no file", async () => {
  using folder = makeFolder();
  const path = `${folder.path}/r`;
  const file = await openRecordFile(path, options);
  file.line(head);
  await file.close();
  assert.deepEqual([...Deno.readDirSync(folder.path)], []);
});

Deno.test("nobody's folder makes room, nor a folder that is not there", async () => {
  using folder = makeFolder();
  await assert.rejects(
    openRecordFile(folder.path, { ...options, force: true }),
    /it is no file|is no file/,
  );
  await assert.rejects(openRecordFile(`${folder.path}/no/r`, options), /No such file/);
});
