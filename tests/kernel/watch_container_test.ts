/** `oomkit watch` on a real container: found by name or by a prefix of its id, and reported with the whole id. */

import assert from "node:assert/strict";
import {
  allocateUntilKilled,
  anyVersionTest,
  kernelTest,
  killOf,
  MIB,
  ofType,
} from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";
import { startContainer, whyNoRunc } from "../helpers/runc_container.ts";
import { startWatched } from "../helpers/watched.ts";

const why = whyNoRunc();
const LIMIT = 48 * MIB;

/** In the form of Docker's ids. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

kernelTest(
  "a container is found by a prefix of its id, and its OOM is reported once, with the whole id",
  async () => {
    await using parent = makeRealCgroup("runc");
    const id = newId();
    await using container = await startContainer({
      parent,
      limit: LIMIT,
      cgroupNamespace: true,
      id,
    });
    const prefix = id.slice(0, 12);
    const targets = [prefix, `id:${prefix}`, `runc:${id}`];
    const watches = await Promise.all(targets.map((target) => startWatched([target])));
    try {
      const { pid, code } = await container.exec(["tail", "/dev/zero"]);
      assert.equal(code, 137);
      for (const [n, watched] of watches.entries()) {
        const kill = await watched.next(killOf(pid));
        assert.equal(kill.container_id, id, targets[n]);
        assert.equal(kill.cgroup, container.path);
        assert.equal(kill.victim.comm, "tail");
        assert.equal(kill.limit, LIMIT);
        assert.equal(kill.limit_owner, container.path);
        assert.equal(kill.scope, "cgroup");
        const events = await watched.stop();
        assert.equal(ofType(events, "oom_kill").length, 1);
        const [deltas, ...others] = events.at(-1).cgroups;
        assert.deepEqual(others, []);
        assert.deepEqual([deltas.container_id, deltas.oom_kill, deltas.victims], [id, 1, 1]);
        assert.equal(deltas.removed, false, "its own process still runs");
      }
    } finally {
      for (const watched of watches) await watched[Symbol.asyncDispose]();
    }
  },
  { why },
);

kernelTest(
  "a container is found by its runc name, and its removal ends the watch without an OOM",
  async () => {
    await using parent = makeRealCgroup("runc");
    await using container = await startContainer({ parent, limit: LIMIT, cgroupNamespace: false });
    await using watched = await startWatched([container.name]);
    await container[Symbol.asyncDispose]();
    const { code, events } = await watched.ended();
    assert.equal(code, 0);
    assert.deepEqual(ofType(events, "cgroup_removed").map(({ cgroup }) => cgroup), [
      container.path,
    ]);
    // SIGKILL by runc is status 137 as well.
    assert.deepEqual(ofType(events, "oom_kill"), []);
    assert.equal(events.at(-1).cgroups[0].oom_kill, 0);
  },
  { why },
);

anyVersionTest(
  "an id prefix of two containers is refused, and the message names both",
  async () => {
    await using parent = makeRealCgroup("ids");
    const shared = newId().slice(0, 60);
    const ids = [`${shared}0000`, `${shared}1111`];
    const cgroups = ids.map((id) => parent.child(id));
    const { code, stdout, stderr } = await runOomkit(["watch", "--for", "1s", shared]);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    for (const id of ids) assert.ok(stderr.includes(id), stderr);
    // With one more digit the prefix is unique.
    for (const cgroup of cgroups) cgroup.limit(10 * MIB);
    await using watched = await startWatched([`${shared}1`]);
    await allocateUntilKilled(cgroups[0]!);
    const { pid } = await allocateUntilKilled(cgroups[1]!);
    await watched.next(killOf(pid));
    const kills = ofType(await watched.stop(), "oom_kill");
    assert.deepEqual(kills.map(({ container_id }) => container_id), [ids[1]]);
  },
);
