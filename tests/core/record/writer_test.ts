import assert from "node:assert/strict";
import { recordingClock } from "../../../core/record/clock.ts";
import type { RecordingLine } from "../../../core/record/format.ts";
import { openRecordFile, type RecordFile } from "../../../core/record/writer.ts";
import { makeDirectory } from "../../helpers/directory.ts";
import { cgroup, head, readAll, snapshots } from "./recording.ts";

// Loads the C library, which stays loaded.
recordingClock();

const options = { max: 1024 ** 2, force: false, warn: () => {} };
const lines = [head, cgroup, ...snapshots(1000)];

const record = (file: RecordFile, lines: readonly RecordingLine[]) =>
  lines.forEach((line) => file.line(line));

for (const name of ["r.jsonl", "r.jsonl.gz"]) {
  Deno.test(`${name} holds the recorded lines, and then the end`, async () => {
    using directory = makeDirectory();
    const path = `${directory.path}/${name}`;
    const file = await openRecordFile(path, options);
    record(file, lines);
    await file.close();
    const read = await readAll(path);
    assert.deepEqual(read.slice(0, -1), lines);
    assert.deepEqual({ ...read.at(-1)!, at: 0 }, { type: "end", at: 0, reason: "ended" });
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    assert.equal(Deno.readFileSync(path)[0] === 0x1f, name.endsWith(".gz"));
  });

  Deno.test(`${name} stays below the maximum size, warns once, and can be read`, async () => {
    using directory = makeDirectory();
    const path = `${directory.path}/${name}`;
    const warnings: string[] = [];
    const max = 4096;
    const file = await openRecordFile(path, {
      ...options,
      max,
      warn: (line) => warnings.push(line),
    });
    record(file, [head, cgroup, ...snapshots(20_000)]);
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
    assert.equal(warnings.length, 1);
    assert.match(
      warnings[0]!,
      /^oomkit: the recording .* has reached its maximum size \(--record-max\); the run continues/,
    );
  });
}

Deno.test("however many cgroups are described in a row, what was recorded can be read", async () => {
  using directory = makeDirectory();
  const path = `${directory.path}/r`;
  const file = await openRecordFile(path, { ...options, max: 1024 ** 3 });
  const long = `/${"x".repeat(1000)}`;
  const described = (id: number) => ({ ...cgroup, id, path: `${long}${id}`, usage_cgroup: long });
  const ids = Array.from({ length: 40_000 }, (_, n) => n + 1);
  record(file, [head, ...ids.map(described)]);
  const samples = ids.map((id) => ({ type: "snapshot", at: 1_000_001, id, usage: 1 }) as const);
  record(file, samples);
  await file.close();
  const read = await readAll(path);
  const known = new Set(read.flatMap((line) => line.type === "cgroup" ? [line.id] : []));
  assert.ok(known.size > 20_000);
  assert.ok(known.size < ids.length);
  assert.ok(read.every((line) => line.type !== "snapshot" || known.has(line.id)));
});

Deno.test("a disk that is slower than the snapshots of a run loses no kill", async () => {
  using directory = makeDirectory();
  const path = `${directory.path}/r`;
  const file = await openRecordFile(path, { ...options, max: 1024 ** 3 });
  const ts = "2026-01-02T03:04:05.678900Z";
  const event = (type: string) =>
    ({ type: "event", at: 1_000_001, event: { type, ts, cgroup: "/a" } }) as const;
  // In one turn of the event loop, so that nothing of it is written in between.
  record(file, [head, cgroup, ...snapshots(200_000), event("max"), event("oom_kill")]);
  await file.close();
  const read = await readAll(path);
  assert.ok(read.some((line) => line.type === "lost" && line.snapshots > 0));
  const events = read.flatMap((line) => line.type === "event" ? [line.event.type] : []);
  assert.deepEqual(events, ["oom_kill"]);
});

Deno.test("when nothing more can be written, it warns once and does not throw", async () => {
  using directory = makeDirectory();
  const warnings: string[] = [];
  const warn = (line: string) => void warnings.push(line);
  const file = await openRecordFile(`${directory.path}/r`, { ...options, warn });
  // From now on the disk refuses every write.
  using broken = breakWrites("No space left on device (os error 28)");
  record(file, lines);
  await broken.tried;
  record(file, lines);
  await file.close();
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0]!,
    /cannot write the recording .*: No space left on device; the run continues/,
  );
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

Deno.test("an existing file is kept, and with force replaced", async () => {
  using directory = makeDirectory();
  const path = directory.write("r", "mine");
  await assert.rejects(
    openRecordFile(path, options),
    /cannot write the recording to .*: the file exists already; name another file, or replace it with --force/,
  );
  assert.equal(Deno.readTextFileSync(path), "mine");
  const file = await openRecordFile(path, { ...options, force: true });
  record(file, [head, cgroup]);
  await file.close();
  assert.equal((await readAll(path))[0]?.type, "recording");
});

Deno.test("a link is not followed: its target is kept", async () => {
  using directory = makeDirectory();
  const other = directory.write("other", "mine");
  const path = `${directory.path}/r`;
  Deno.symlinkSync(other, path);
  await assert.rejects(openRecordFile(path, options), /the file exists already/);
  const file = await openRecordFile(path, { ...options, force: true });
  record(file, [head, cgroup]);
  await file.close();
  assert.equal(Deno.readTextFileSync(other), "mine");
  assert.ok(Deno.lstatSync(path).isFile);
});

Deno.test("a link to what is not a regular file is not replaced, and neither is one such as /dev/stdout", async () => {
  using directory = makeDirectory();
  const path = `${directory.path}/r`;
  for (const target of [directory.path, "/dev/null", "/proc/self/fd/0"]) {
    Deno.symlinkSync(target, path);
    await assert.rejects(
      openRecordFile(path, { ...options, force: true }),
      /it is not a regular file/,
    );
    assert.equal(Deno.readLinkSync(path), target);
    Deno.removeSync(path);
  }
});

Deno.test("a run that ends before it has read anything leaves no file", async () => {
  using directory = makeDirectory();
  const path = `${directory.path}/r`;
  const file = await openRecordFile(path, options);
  file.line(head);
  await file.close();
  assert.deepEqual([...Deno.readDirSync(directory.path)], []);
});

Deno.test("a directory is not replaced, and a missing directory is not created", async () => {
  using directory = makeDirectory();
  await assert.rejects(
    openRecordFile(directory.path, { ...options, force: true }),
    /it is not a regular file/,
  );
  await assert.rejects(openRecordFile(`${directory.path}/no/r`, options), /No such file/);
});
