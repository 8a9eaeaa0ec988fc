import assert from "node:assert/strict";
import { isStillMember } from "../../../../core/control/kill.ts";
import type { Cgroup } from "../../../../core/cgroup/cgroup.ts";
import { v2 } from "../../../../core/cgroup/v2.ts";
import { type SelectionContext, selectVictims } from "../../../../core/guard/thread/victims.ts";
import { WARM_UP_POLICY } from "../../../../core/guard/thread/warmup.ts";
import { libc } from "../../../../core/kernel/libc.ts";

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
    version: v2,
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

const calm: Omit<SelectionContext, "limitOwner"> = {
  policy: WARM_UP_POLICY,
  isExcluded: () => false,
  oomTotalBytes: 2 ** 30,
  outOfTime: () => false,
  signalled: new Set(),
};

function aimed(crowd: Crowd, selectionContext: Partial<SelectionContext> = {}) {
  const selection = selectVictims(crowd.cgroup, {
    ...calm,
    limitOwner: crowd.cgroup,
    ...selectionContext,
  });
  selection?.close();
  return selection?.victims.map(({ pid }) => pid).sort();
}

Deno.test("everybody is aimed at while there is time, and one when there is none", async () => {
  await using crowd = gather();
  assert.deepEqual(aimed(crowd), [...crowd.pids].sort());
  assert.equal(aimed(crowd, { outOfTime: () => true })?.length, 1);
});

Deno.test("who is struck already is passed over", async () => {
  await using crowd = gather();
  const [one, other] = crowd.pids;
  assert.deepEqual(aimed(crowd, { signalled: new Set([one]), outOfTime: () => true }), [other]);
});

Deno.test("however little time there is, it is taken until there is somebody who may be taken", async () => {
  await using crowd = gather();
  const [one, other] = crowd.pids;
  const policy = { ...WARM_UP_POLICY, protectedPids: new Set([one]) };
  assert.deepEqual(aimed(crowd, { policy, outOfTime: () => true }), [other]);
});

Deno.test("where the kernel would take somebody who is not guarded, nobody else dies for him", async () => {
  await using crowd = gather();
  const scope = { ...crowd.cgroup, path: "/elsewhere" };
  const selection = selectVictims(scope, { ...calm, limitOwner: crowd.cgroup })!;
  assert.deepEqual(selection.victims, []);
  assert.ok(crowd.pids.includes(selection.outside!.pid));
  selection.close();
});

Deno.test("a cgroup that was replaced under its name is not aimed at", async () => {
  await using crowd = gather();
  const replaced = { ...crowd.cgroup, inode: crowd.cgroup.inode + 1 };
  assert.equal(selectVictims(replaced, { ...calm, limitOwner: replaced }), undefined);
});

Deno.test("who has left the cgroup is not in it any more, whatever was known", async () => {
  await using crowd = gather();
  const selection = selectVictims(crowd.cgroup, { ...calm, limitOwner: crowd.cgroup })!;
  const [victim] = selection.victims;
  assert.equal(isStillMember(victim!), true);
  crowd.list(...crowd.pids.filter((pid) => pid !== victim!.pid));
  assert.equal(isStillMember(victim!), false);
  selection.close();
});
