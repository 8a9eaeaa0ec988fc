import assert from "node:assert/strict";
import { isStillIn } from "../../../core/act/held.ts";
import type { Cgroup } from "../../../core/cgroup/cgroup.ts";
import { v2 } from "../../../core/cgroup/v2.ts";
import { type Aiming, takeAim } from "../../../core/guard/aim.ts";
import { REHEARSED } from "../../../core/guard/rehearsal.ts";
import { libc } from "../../../core/kernel/libc.ts";

// Loaded once and for all, which is no leak of a test.
libc();

interface Crowd extends AsyncDisposable {
  readonly cgroup: Cgroup;
  readonly pids: readonly [number, number];
  list(...pids: readonly number[]): void;
}

/** Two processes, and a folder laid out like a cgroup that has them. */
function gather(): Crowd {
  const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const options = { stdin: "piped", stdout: "null" } as const;
  const children = [0, 1].map(() => new Deno.Command("cat", options).spawn());
  const [one, other] = children.map(({ pid }) => pid) as [number, number];
  const list = (...pids: readonly number[]) =>
    Deno.writeTextFileSync(`${dir}/cgroup.procs`, pids.map((pid) => `${pid}\n`).join(""));
  list(one, other);
  const inode = Deno.statSync(dir).ino!;
  const hierarchy = {
    dialect: v2,
    mount: dir,
    root: "/",
    kernel: false,
    writable: true,
    hybrid: false,
    hidden: false,
    shifted: false,
  };
  return {
    cgroup: { hierarchy, path: "/", dir, inode },
    pids: [one, other],
    list,
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(children.map(({ status, stdin }) => status.then(() => stdin.close())));
      Deno.removeSync(dir, { recursive: true });
    },
  };
}

const calm: Omit<Aiming, "measured"> = {
  plan: REHEARSED,
  isKept: () => false,
  capacity: 2 ** 30,
  pressed: () => false,
  struck: new Set(),
};

function aimed(crowd: Crowd, aiming: Partial<Aiming> = {}) {
  const aim = takeAim(crowd.cgroup, { ...calm, measured: crowd.cgroup, ...aiming });
  aim?.close();
  return aim?.picks.map(({ pid }) => pid).sort();
}

Deno.test("everybody is aimed at while there is time, and one when there is none", async () => {
  await using crowd = gather();
  assert.deepEqual(aimed(crowd), [...crowd.pids].sort());
  assert.equal(aimed(crowd, { pressed: () => true })?.length, 1);
});

Deno.test("who is struck already is passed over", async () => {
  await using crowd = gather();
  const [one, other] = crowd.pids;
  assert.deepEqual(aimed(crowd, { struck: new Set([one]), pressed: () => true }), [other]);
});

Deno.test("however little time there is, it is taken until there is somebody who may be taken", async () => {
  await using crowd = gather();
  const [one, other] = crowd.pids;
  const plan = { ...REHEARSED, untouchable: new Set([one]) };
  assert.deepEqual(aimed(crowd, { plan, pressed: () => true }), [other]);
});

Deno.test("where the kernel would take somebody who is not guarded, nobody else dies for him", async () => {
  await using crowd = gather();
  const scope = { ...crowd.cgroup, path: "/elsewhere" };
  const aim = takeAim(scope, { ...calm, measured: crowd.cgroup })!;
  assert.deepEqual(aim.picks, []);
  assert.ok(crowd.pids.includes(aim.outside!.pid));
  aim.close();
});

Deno.test("a cgroup that was replaced under its name is not aimed at", async () => {
  await using crowd = gather();
  const replaced = { ...crowd.cgroup, inode: crowd.cgroup.inode + 1 };
  assert.equal(takeAim(replaced, { ...calm, measured: replaced }), undefined);
});

Deno.test("who has left the cgroup is not in it any more, whatever was known", async () => {
  await using crowd = gather();
  const aim = takeAim(crowd.cgroup, { ...calm, measured: crowd.cgroup })!;
  const [pick] = aim.picks;
  assert.equal(isStillIn(pick!), true);
  crowd.list(...crowd.pids.filter((pid) => pid !== pick!.pid));
  assert.equal(isStillIn(pick!), false);
  aim.close();
});
