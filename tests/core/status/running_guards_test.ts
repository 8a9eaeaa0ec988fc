import assert from "node:assert/strict";
import { findGuards, killsForMachine, type Place } from "../../../core/status/running_guards.ts";
import { StatusSocket } from "../../../core/status/socket.ts";
import { parseProcStat } from "../../../core/parse/procfs.ts";
import { delay } from "../../../core/timing.ts";
import { makeDirectory } from "../../helpers/directory.ts";
import { cgroupStatus, guardStatus } from "../../helpers/guard_status.ts";

const OTHER_UID = 65534;
const asRoot = { ignore: Deno.uid() !== 0 };

interface State extends Disposable {
  readonly path: string;
  readonly places: readonly Place[];
}

function makeState(): State {
  const directory = makeDirectory();
  return { ...directory, places: [{ directory: directory.path, uid: Deno.uid() }] };
}

/** A program that answers so at the place of a guard's socket. */
function answering(path: string, text: string): Disposable {
  const listener = Deno.listen({ transport: "unix", path });
  const serving = (async () => {
    for await (const conn of listener) {
      const bytes = new TextEncoder().encode(text);
      try {
        for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
      } catch {
        // The client has closed it.
      }
      conn.close();
    }
  })().catch(() => {});
  return {
    [Symbol.dispose]() {
      listener.close();
      void serving;
    },
  };
}

Deno.test("a guard that runs is found, and no other pid is", async () => {
  using state = makeState();
  const status = guardStatus({ pid: Deno.pid });
  const socket = new StatusSocket(state.path, () => Promise.resolve(status));
  for (const pids of [[], [Deno.pid]]) {
    assert.deepEqual(await findGuards(pids, state.places), {
      directories: [state.path],
      guards: [status],
      failures: [],
    });
  }
  assert.deepEqual((await findGuards([1], state.places)).guards, []);
  socket.close();
});

Deno.test("fields that this version does not know are left out", async () => {
  using state = makeState();
  const status = guardStatus({ pid: Deno.pid });
  const socket = new StatusSocket(state.path, () => Promise.resolve({ ...status, later: 1 }));
  assert.deepEqual((await findGuards([], state.places)).guards, [status]);
  socket.close();
});

Deno.test("no directory and an empty one have no guard, and are no failure", async () => {
  using state = makeState();
  const nowhere = `${state.path}/nowhere`;
  const places = [...state.places, { directory: nowhere, uid: Deno.uid() }];
  assert.deepEqual(await findGuards([], places), {
    directories: [state.path, nowhere],
    guards: [],
    failures: [],
  });
});

Deno.test("a socket that a killed guard has left is no guard", async () => {
  using state = makeState();
  const path = `${state.path}/guard-7-7.socket`;
  const kept = `${state.path}/kept`;
  const listener = Deno.listen({ transport: "unix", path });
  Deno.linkSync(path, kept);
  listener.close();
  Deno.renameSync(kept, path);
  assert.deepEqual(await findGuards([], state.places), {
    directories: [state.path],
    guards: [],
    failures: [],
  });
});

for (
  const [name, text] of [
    ["nothing", ""],
    ["no JSON", "HTTP/1.1 400 Bad Request\r\n\r\n"],
    ["other JSON", "{}\n"],
    ["null", "null\n"],
    ["another pid", JSON.stringify(guardStatus({ pid: 4243 }))],
    ["another user", JSON.stringify(guardStatus({ uid: 1 + Deno.uid()! }))],
    ["a status with a field of another type", JSON.stringify({ ...guardStatus(), cgroups: [7] })],
  ] as const
) {
  Deno.test(`a program that answers ${name} is reported, and is no guard`, async () => {
    using state = makeState();
    const path = `${state.path}/guard-4242-7.socket`;
    using _program = answering(path, text);
    const { guards, failures } = await findGuards([], state.places);
    assert.deepEqual(guards, []);
    assert.deepEqual(failures, [{
      pid: 4242,
      path,
      reason: text === ""
        ? "it gave no answer; it may be ending"
        : "it does not answer as a guard does",
    }]);
  });
}

Deno.test("the programs of one user get no more memory together than one of them", async () => {
  using state = makeState();
  using mine = makeState();
  const text = " ".repeat(6 * 1024 ** 2);
  using _one = answering(`${state.path}/guard-1-7.socket`, text);
  using _two = answering(`${state.path}/guard-2-7.socket`, text);
  using _three = answering(`${state.path}/guard-3-7.socket`, text);
  const status = guardStatus({ pid: Deno.pid });
  const socket = new StatusSocket(mine.path, () => Promise.resolve(status));
  const { guards, failures } = await findGuards([], [...state.places, ...mine.places]);
  assert.deepEqual(guards, [status]);
  const reasons = Object.groupBy(failures, ({ reason }) => reason);
  assert.ok(reasons["the answers in this directory are too long"], JSON.stringify(failures));
  assert.equal(failures.length, 3);
  socket.close();
});

Deno.test("a guard that is stopped is reported at once, with what continues it", async () => {
  using state = makeState();
  const stopped = new Deno.Command("sleep", { args: ["600"] }).spawn();
  const { pid } = stopped;
  await using _ended = {
    async [Symbol.asyncDispose]() {
      stopped.kill("SIGKILL");
      await stopped.status;
    },
  };
  const stat = () => parseProcStat(Deno.readTextFileSync(`/proc/${pid}/stat`))!;
  const path = `${state.path}/guard-${pid}-${stat().startTime}.socket`;
  using _socket = Deno.listen({ transport: "unix", path });
  Deno.kill(pid, "SIGSTOP");
  while (stat().state !== "T") await delay(1);
  const reason = `the process is stopped and protects nothing; to continue it: kill -CONT ${pid}`;
  assert.deepEqual((await findGuards([], state.places, 100)).failures, [{ pid, path, reason }]);
});

Deno.test("a guard that does not answer is reported after a while, and the others are shown", async () => {
  using state = makeState();
  using _silent = Deno.listen({ transport: "unix", path: `${state.path}/guard-7-7.socket` });
  const status = guardStatus({ pid: Deno.pid });
  const socket = new StatusSocket(state.path, () => Promise.resolve(status));
  const { guards, failures } = await findGuards([], state.places, 2000);
  assert.deepEqual(guards, [status]);
  assert.deepEqual(failures.map(({ pid, reason }) => [pid, reason]), [
    [7, "it did not answer within 2 s"],
  ]);
  socket.close();
});

Deno.test(
  "a link, a file and another user's socket at the place of a socket are ignored",
  asRoot,
  async () => {
    using state = makeState();
    const real = `${state.path}/real`;
    using _program = answering(real, JSON.stringify(guardStatus({ pid: 7 })));
    Deno.symlinkSync(real, `${state.path}/guard-7-1.socket`);
    Deno.writeTextFileSync(`${state.path}/guard-7-2.socket`, "");
    const foreign = `${state.path}/guard-7-3.socket`;
    using _foreign = answering(foreign, JSON.stringify(guardStatus({ pid: 7 })));
    Deno.chownSync(foreign, OTHER_UID, OTHER_UID);
    assert.deepEqual(await findGuards([], state.places), {
      directories: [state.path],
      guards: [],
      failures: [],
    });
  },
);

Deno.test(
  "a directory that other users may write, or of another user, is not trusted",
  asRoot,
  async () => {
    using state = makeState();
    const status = guardStatus({ pid: Deno.pid });
    const socket = new StatusSocket(state.path, () => Promise.resolve(status));
    const reasonOf = async () => {
      const { guards, failures } = await findGuards([], state.places);
      assert.deepEqual(guards, []);
      return failures.map(({ pid, path, reason }) => [pid, path, reason]);
    };
    Deno.chmodSync(state.path, 0o777);
    assert.deepEqual(await reasonOf(), [[null, state.path, "other users may write there"]]);
    Deno.chmodSync(state.path, 0o700);
    Deno.chownSync(state.path, OTHER_UID, OTHER_UID);
    assert.deepEqual(await reasonOf(), [[null, state.path, "it belongs to the user 65534"]]);
    Deno.chownSync(state.path, 0, 0);
    socket.close();
  },
);

Deno.test("root sees the guard of a user, in a directory of that user", asRoot, async () => {
  using state = makeState();
  const status = guardStatus({ pid: 7, uid: OTHER_UID });
  const path = `${state.path}/guard-7-7.socket`;
  using _program = answering(path, JSON.stringify(status));
  for (const each of [path, state.path]) Deno.chownSync(each, OTHER_UID, OTHER_UID);
  const places = [{ directory: state.path, uid: OTHER_UID }];
  assert.deepEqual((await findGuards([], places)).guards, [status]);
});

Deno.test("another guard that kills for the machine is recognized", () => {
  const cgroups = [cgroupStatus("/", { limit_owner: null }), cgroupStatus("/a")];
  assert.ok(killsForMachine(guardStatus({ cgroups })));
  assert.ok(!killsForMachine(guardStatus({ cgroups: cgroups.slice(1) })));
  const [policy] = guardStatus().policies;
  const dry = [{ ...policy!, dry_run: true }];
  assert.ok(!killsForMachine(guardStatus({ cgroups, policies: dry })));
  const reporting = [{ ...policy!, actions: { warn: [], critical: [], imminent: ["exec"] } }];
  assert.ok(!killsForMachine(guardStatus({ cgroups, policies: reporting })));
});
