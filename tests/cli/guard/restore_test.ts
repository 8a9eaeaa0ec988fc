/** `oomkit guard --restore`: what other guards have left, put back by hand. */

import assert from "node:assert/strict";
import { dirname } from "node:path";
import { asNobody, oomkitForEveryone, type Ran, runOomkit } from "../../helpers/run_oomkit.ts";

interface State extends Disposable {
  readonly folder: string;
  readonly dir: string;
  /** Leaves a change of memory.high as a guard that has ended would. */
  leave(more?: Record<string, unknown>): void;
  release(...args: string[]): Promise<Ran>;
}

function makeState(): State {
  const root = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const [folder, dir] = [`${root}/state`, `${root}/cgroup`];
  for (const path of [folder, dir]) Deno.mkdirSync(path);
  for (const file of ["cgroup.procs", "memory.high"]) {
    Deno.writeTextFileSync(`${dir}/${file}`, "2000");
  }
  return {
    folder,
    dir,
    leave(more = {}) {
      const inode = Deno.statSync(dir).ino;
      const change = { dir, inode, file: "memory.high", before: "1000", set: "2000", ...more };
      Deno.writeTextFileSync(`${folder}/guard-${Deno.pid}-1.json`, JSON.stringify([change]));
    },
    release: (...args) =>
      runOomkit(["guard", "--restore", ...args], { env: { OOMKIT_STATE_DIR: folder } }),
    [Symbol.dispose]: () => Deno.removeSync(root, { recursive: true }),
  };
}

Deno.test("what a guard has left is put back and told, and the next time there is nothing", async () => {
  using state = makeState();
  state.leave();
  const first = await state.release();
  assert.deepEqual(first, {
    code: 0,
    stdout: `restored  ${state.dir}/memory.high: 1000\n`,
    stderr: "",
  });
  assert.equal(Deno.readTextFileSync(`${state.dir}/memory.high`), "1000");
  const again = await state.release();
  assert.deepEqual(again, { code: 0, stdout: "", stderr: "there was nothing to put back\n" });
});

Deno.test("as JSON it is one object a line", async () => {
  using state = makeState();
  state.leave({ set: "3000" });
  const { code, stdout } = await state.release("--json");
  assert.equal(code, 0);
  const { dir, file, outcome } = JSON.parse(stdout);
  assert.deepEqual({ dir, file, outcome }, {
    dir: state.dir,
    file: "memory.high",
    outcome: "left",
  });
});

Deno.test("what could not be put back is told with the reason, and exit 2", async () => {
  using state = makeState();
  Deno.removeSync(`${state.dir}/memory.high`);
  Deno.symlinkSync("/proc/self/oom_score_adj", `${state.dir}/memory.high`);
  const set = Deno.readTextFileSync("/proc/self/oom_score_adj").trim();
  state.leave({ before: "much", set });
  const { code, stdout } = await state.release();
  assert.equal(code, 2);
  assert.match(stdout, /^failed {4}\S+\/memory\.high: much \(the kernel refused the value\)\n$/);
});

Deno.test("what a guard that is at work has changed is left to it, and that is said", async () => {
  using state = makeState();
  state.leave();
  const stat = Deno.readTextFileSync(`/proc/${Deno.pid}/stat`);
  const since = stat.slice(stat.lastIndexOf(")")).split(" ")[20];
  const name = (start: string) => `${state.folder}/guard-${Deno.pid}-${start}.json`;
  Deno.renameSync(name("1"), name(since!));
  const { code, stderr } = await state.release();
  assert.equal(code, 0);
  assert.match(stderr, new RegExp(`^the guard with pid ${Deno.pid} is at work; what it has ch`));
  assert.equal(Deno.readTextFileSync(`${state.dir}/memory.high`), "2000");
});

Deno.test("a folder that is not to be trusted is told, with exit 2, and nothing is put back", async () => {
  using state = makeState();
  state.leave();
  Deno.chmodSync(state.folder, 0o777);
  const { code, stdout, stderr } = await state.release();
  assert.deepEqual([code, stdout], [2, ""]);
  assert.match(
    stderr,
    new RegExp(
      `^oomkit: cannot put back what is recorded in ${state.folder}: other users may write `,
    ),
  );
  assert.equal(Deno.readTextFileSync(`${state.dir}/memory.high`), "2000");
});

Deno.test(
  "a folder that cannot be read is told, with exit 2",
  { ignore: Deno.uid() !== 0 },
  async () => {
    using everyone = await oomkitForEveryone();
    using state = makeState();
    Deno.chmodSync(state.folder, 0o700);
    Deno.chmodSync(dirname(state.folder), 0o755);
    const { code, stderr } = await runOomkit(["guard", "--restore"], {
      program: everyone.program,
      env: { ...everyone.env, OOMKIT_STATE_DIR: state.folder },
      wrap: asNobody,
    });
    assert.equal(code, 2);
    assert.match(stderr, /: it cannot be read;/);
  },
);

Deno.test("where there is no folder there was nothing to put back", async () => {
  using state = makeState();
  Deno.removeSync(state.folder);
  const { code, stderr } = await state.release();
  assert.deepEqual([code, stderr], [0, "there was nothing to put back\n"]);
});
