/** `oomkit guard --restore`: restores settings left by guards that were killed. */

import assert from "node:assert/strict";
import { dirname } from "node:path";
import {
  asUnprivilegedUser,
  oomkitForAllUsers,
  type Ran,
  runOomkit,
} from "../../helpers/run_oomkit.ts";

interface State extends Disposable {
  readonly directory: string;
  readonly dir: string;
  /** Leaves a change of memory.high, as a killed guard does. */
  leave(more?: Record<string, unknown>): void;
  restore(...args: string[]): Promise<Ran>;
}

function makeState(): State {
  const root = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const [directory, dir] = [`${root}/state`, `${root}/cgroup`];
  for (const path of [directory, dir]) Deno.mkdirSync(path);
  for (const file of ["cgroup.procs", "memory.high"]) {
    Deno.writeTextFileSync(`${dir}/${file}`, "2000");
  }
  return {
    directory,
    dir,
    leave(more = {}) {
      const inode = Deno.statSync(dir).ino;
      const change = { dir, inode, file: "memory.high", before: "1000", set: "2000", ...more };
      Deno.writeTextFileSync(`${directory}/guard-${Deno.pid}-1.json`, JSON.stringify([change]));
    },
    restore: (...args) =>
      runOomkit(["guard", "--restore", ...args], { env: { OOMKIT_STATE_DIR: directory } }),
    [Symbol.dispose]: () => Deno.removeSync(root, { recursive: true }),
  };
}

Deno.test("stale settings are restored and printed; a second run finds none", async () => {
  using state = makeState();
  state.leave();
  const first = await state.restore();
  assert.deepEqual(first, {
    code: 0,
    stdout: `restored  ${state.dir}/memory.high: 1000\n`,
    stderr: "",
  });
  assert.equal(Deno.readTextFileSync(`${state.dir}/memory.high`), "1000");
  const again = await state.restore();
  assert.deepEqual(again, { code: 0, stdout: "", stderr: "nothing to restore\n" });
});

Deno.test("--json prints one object per line", async () => {
  using state = makeState();
  state.leave({ set: "3000" });
  const { code, stdout } = await state.restore("--json");
  assert.equal(code, 0);
  const { dir, file, outcome } = JSON.parse(stdout);
  assert.deepEqual({ dir, file, outcome }, {
    dir: state.dir,
    file: "memory.high",
    outcome: "changed",
  });
});

Deno.test("a setting that cannot be restored is printed with the reason, and exit 2", async () => {
  using state = makeState();
  Deno.removeSync(`${state.dir}/memory.high`);
  Deno.symlinkSync("/proc/self/oom_score_adj", `${state.dir}/memory.high`);
  const set = Deno.readTextFileSync("/proc/self/oom_score_adj").trim();
  state.leave({ before: "much", set });
  const { code, stdout } = await state.restore();
  assert.equal(code, 2);
  assert.match(stdout, /^failed {4}\S+\/memory\.high: much \(the kernel refused the value\)\n$/);
});

Deno.test("changes of a running guard are left alone, with a note", async () => {
  using state = makeState();
  state.leave();
  const stat = Deno.readTextFileSync(`/proc/${Deno.pid}/stat`);
  const since = stat.slice(stat.lastIndexOf(")")).split(" ")[20];
  const name = (start: string) => `${state.directory}/guard-${Deno.pid}-${start}.json`;
  Deno.renameSync(name("1"), name(since!));
  const { code, stderr } = await state.restore();
  assert.equal(code, 0);
  assert.match(stderr, new RegExp(`^a guard runs with pid ${Deno.pid}; it restores its own ch`));
  assert.equal(Deno.readTextFileSync(`${state.dir}/memory.high`), "2000");
});

Deno.test("an untrusted directory is refused with exit 2, and nothing is restored", async () => {
  using state = makeState();
  state.leave();
  Deno.chmodSync(state.directory, 0o777);
  const { code, stdout, stderr } = await state.restore();
  assert.deepEqual([code, stdout], [2, ""]);
  assert.match(
    stderr,
    new RegExp(
      `^oomkit: cannot restore the settings recorded in ${state.directory}: other users may write `,
    ),
  );
  assert.equal(Deno.readTextFileSync(`${state.dir}/memory.high`), "2000");
});

Deno.test(
  "an unreadable directory is refused with exit 2",
  { ignore: Deno.uid() !== 0 },
  async () => {
    using shared = await oomkitForAllUsers();
    using state = makeState();
    Deno.chmodSync(state.directory, 0o700);
    Deno.chmodSync(dirname(state.directory), 0o755);
    const { code, stderr } = await runOomkit(["guard", "--restore"], {
      program: shared.program,
      env: { ...shared.env, OOMKIT_STATE_DIR: state.directory },
      wrap: asUnprivilegedUser,
    });
    assert.equal(code, 2);
    assert.match(stderr, /: it cannot be read;/);
  },
);

Deno.test("without a directory there is nothing to restore", async () => {
  using state = makeState();
  Deno.removeSync(state.directory);
  const { code, stderr } = await state.restore();
  assert.deepEqual([code, stderr], [0, "nothing to restore\n"]);
});

Deno.test("--restore refuses targets and options that it does not use", async () => {
  for (const [word, ...more] of [["/a"], ["--check-config"], ["--policy", "process"], ["-r"]]) {
    const { code, stdout, stderr } = await runOomkit(["guard", "--restore", word!, ...more]);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /^oomkit: cannot use \S+ with --restore: it restores all settings; write/);
  }
});
