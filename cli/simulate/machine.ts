/** `simulate --machine`: checks before the machine is filled, and which programs kill for it. */

import { discover } from "../../core/cgroup/hierarchy.ts";
import { oomDaemons } from "../../core/cgroup/oom_daemons.ts";
import { OomkitError } from "../../core/errors.ts";
import {
  checkDisposable,
  type Killer,
  machineSize,
  machineTarget,
  readIdentity,
} from "../../core/simulate/machine.ts";
import { pageBytes, type Plan, type SimulationTarget } from "../../core/simulate/plan.ts";
import { findGuards } from "../../core/status/running_guards.ts";
import type { SimulateFlags } from "./options.ts";
import { planOf } from "./plan.ts";

/** Creates the cgroup of the allocators. Throws {@link OomkitError} where this machine is not to be filled. */
export function planMachine(flags: SimulateFlags): { target: SimulationTarget; plan: Plan } {
  checkOptions(flags);
  const hierarchy = discover();
  checkDisposable(flags.disposable, readIdentity(hierarchy));
  const size = machineSize();
  const plan = planOf(flags, size.memory + size.swap, pageBytes());
  return {
    // The cgroup has no limit that a threshold could be a share of.
    plan: { ...plan, thresholds: flags.threshold ?? [] },
    target: machineTarget(hierarchy, size),
  };
}

function checkOptions(flags: SimulateFlags): void {
  const unsuitable = (["mb", "limit", "here", "group", "fake", "root"] as const)
    .find((name) => flags[name] !== undefined);
  if (unsuitable !== undefined) {
    throw new OomkitError(
      `cannot use --${unsuitable} and --machine together`,
      "the machine is filled as it is",
    );
  }
  if (flags.threshold?.some((each) => "percent" in each)) {
    throw new OomkitError(
      "cannot use a percentage as --threshold: the cgroup that fills the machine has no limit",
      "give a size, such as --threshold 512M",
    );
  }
}

/** Guards tell how many processes they have killed, other programs do not. */
export async function findKillers(): Promise<Killer[]> {
  const { guards } = await findGuards([]);
  return [
    ...guards.map(({ pid, guard_kills }) => ({ pid, name: "oomkit guard", kills: guard_kills })),
    ...oomDaemons().map(({ pid, comm }) => ({ pid, name: comm })),
  ];
}
