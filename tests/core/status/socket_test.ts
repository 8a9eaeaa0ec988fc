import assert from "node:assert/strict";
import { restoreStale } from "../../../core/control/journal.ts";
import { StatusSocket } from "../../../core/status/socket.ts";
import { makeDirectory } from "../../helpers/directory.ts";

interface Served extends Disposable {
  readonly directory: string;
  readonly path: string;
}

function serve(document: () => Promise<unknown> = () => Promise.resolve({ v: 2 })): Served {
  const directory = makeDirectory();
  const state = `${directory.path}/state`;
  const socket = new StatusSocket(state, document);
  const [{ name }] = [...Deno.readDirSync(state)] as [Deno.DirEntry];
  return {
    directory: state,
    path: `${state}/${name}`,
    [Symbol.dispose]() {
      socket.close();
      directory[Symbol.dispose]();
    },
  };
}

const connect = ({ path }: Pick<Served, "path">) => Deno.connect({ transport: "unix", path });

/** Everything until the other side closes. */
async function rest(conn: Deno.Conn): Promise<string> {
  const chunks: string[] = [];
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
    chunks.push(decoder.decode(buffer.subarray(0, n), { stream: true }));
  }
  return chunks.join("");
}

async function ask(served: Pick<Served, "path">): Promise<string> {
  using conn = await connect(served);
  return await rest(conn);
}

Deno.test("each connection gets one document; only the user may connect, in a directory only the user may enter", async () => {
  using served = serve();
  assert.equal(await ask(served), '{"v":2}\n');
  const modeOf = (path: string) => Deno.lstatSync(path).mode! & 0o777;
  assert.deepEqual([modeOf(served.path), modeOf(served.directory)], [0o600, 0o700]);
  assert.ok(Deno.lstatSync(served.path).isSocket);
});

Deno.test("the mode does not depend on the umask, which stays as it was", () => {
  const before = Deno.umask(0o000);
  try {
    using served = serve();
    assert.equal(Deno.lstatSync(served.path).mode! & 0o777, 0o600);
    assert.equal(Deno.umask(), 0o000);
  } finally {
    Deno.umask(before);
  }
});

Deno.test("the socket is removed when it is closed", () => {
  using directory = makeDirectory();
  const socket = new StatusSocket(directory.path, () => Promise.resolve({}));
  assert.equal([...Deno.readDirSync(directory.path)].length, 1);
  socket.close();
  assert.deepEqual([...Deno.readDirSync(directory.path)], []);
});

Deno.test("a directory that is gone does not make the end of a guard fail", () => {
  using directory = makeDirectory();
  const state = `${directory.path}/state`;
  const socket = new StatusSocket(state, () => Promise.resolve({}));
  Deno.removeSync(state, { recursive: true });
  socket.close();
});

Deno.test("the socket of a guard that was killed is removed by the next guard, that of a running one is not", () => {
  using served = serve();
  const stale = `${served.directory}/guard-${Deno.pid}-1.socket`;
  using _left = Deno.listen({ transport: "unix", path: stale });
  assert.deepEqual(restoreStale(served.directory), []);
  assert.deepEqual(
    [...Deno.readDirSync(served.directory)].map(({ name }) => `${served.directory}/${name}`),
    [served.path],
  );
});

Deno.test("a link in the place of the socket is removed, not followed", () => {
  using directory = makeDirectory();
  const first = new StatusSocket(directory.path, () => Promise.resolve({}));
  const [{ name }] = [...Deno.readDirSync(directory.path)] as [Deno.DirEntry];
  first.close();
  const precious = `${directory.path}/precious`;
  Deno.symlinkSync(precious, `${directory.path}/${name}`);
  const socket = new StatusSocket(directory.path, () => Promise.resolve({}));
  assert.ok(Deno.lstatSync(`${directory.path}/${name}`).isSocket);
  assert.throws(() => Deno.lstatSync(precious), Deno.errors.NotFound);
  socket.close();
});

Deno.test("no socket is created where other users may write", () => {
  using directory = makeDirectory();
  Deno.chmodSync(directory.path, 0o777);
  const create = () => new StatusSocket(directory.path, () => Promise.resolve({}));
  assert.throws(create, /other users may write there/);
  assert.deepEqual([...Deno.readDirSync(directory.path)], []);
});

/** Timers that never run out: a busy machine takes any time for what happens meanwhile. */
function withoutTimers(): Disposable {
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (() => 0) as unknown as typeof setTimeout;
  return { [Symbol.dispose]: () => void (globalThis.setTimeout = setTimeout) };
}

Deno.test("a hundred clients are answered with one reading until that is too old", async () => {
  let readings = 0;
  using served = serve(() => Promise.resolve({ reading: ++readings }));
  using _ = withoutTimers();
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask(served)));
  assert.deepEqual(new Set(answers), new Set(['{"reading":1}\n']));
  assert.equal(readings, 1);
});

Deno.test("a later client gets a later reading", async () => {
  let readings = 0;
  using served = serve(() => Promise.resolve({ reading: ++readings }));
  const first = await ask(served);
  let last = first;
  while (last === first) last = await ask(served);
  assert.equal(last, '{"reading":2}\n');
});

Deno.test("what a client sends is not read: it gets its answer, and so does the next one", async () => {
  using served = serve();
  using conn = await connect(served);
  const garbage = conn.write(new Uint8Array(10_000_000).fill(0xff)).catch(() => {});
  // Then the kernel resets the connection, with what was not read.
  const buffer = new Uint8Array(100);
  const count = await conn.read(buffer);
  assert.equal(new TextDecoder().decode(buffer.subarray(0, count ?? 0)), '{"v":2}\n');
  await garbage;
  assert.equal(await ask(served), '{"v":2}\n');
});

Deno.test("clients that do not read hold a bounded number of connections, and no client after they have left", async () => {
  const text = "x".repeat(4 * 1024 ** 2);
  using served = serve(() => Promise.resolve(text));
  const before = descriptors();
  const stuck = await Promise.all(Array.from({ length: 50 }, () => connect(served)));
  // Served in the order of their arrival.
  for (const conn of stuck.slice(0, 8)) await conn.read(new Uint8Array(1));
  assert.ok(descriptors() - before <= 50 + 8, `${descriptors() - before} descriptors`);
  for (const conn of stuck) conn.close();
  assert.equal((await ask(served)).length, text.length + '""\n'.length);
});

const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;

Deno.test("a client that leaves at once does not disturb the next one", async () => {
  using served = serve();
  for (let n = 0; n < 20; n++) (await connect(served)).close();
  assert.equal(await ask(served), '{"v":2}\n');
});

Deno.test("a reading that fails ends the connection, and the next one may succeed", async () => {
  let fails = true;
  using served = serve(() => fails ? Promise.reject(new Error("gone")) : Promise.resolve({ v: 2 }));
  assert.equal(await ask(served), "");
  fails = false;
  let answer = "";
  while (answer === "") answer = await ask(served);
  assert.equal(answer, '{"v":2}\n');
});
