/** The limits of the cgroup that a program runs in. */

import assert from "node:assert/strict";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { readOwnLimits } from "../../core/cgroup/own_limits.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";

kernelTest(
  "the own memory limit is the tightest of the own cgroup and those above it",
  async () => {
    await using parent = makeRealCgroup("own-limit");
    parent.limit(400 * MIB);
    const child = parent.child("child");
    const limit = () => readOwnLimits({ ...discover(), own: child.path }).memory;
    assert.equal(limit(), 400 * MIB);
    child.limit(300 * MIB);
    assert.equal(limit(), 300 * MIB);
    parent.limit(200 * MIB);
    assert.equal(limit(), 200 * MIB);
  },
);
