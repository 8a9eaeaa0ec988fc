/** The guarded cgroups as they are now: usage, levels, and what the modes have changed. Read when it is asked for. */

import { readUsage, tryReadControl, tryReader, tryReadSnapshot } from "../cgroup/cgroup.ts";
import { identify } from "../cgroup/identity.ts";
import { isHold } from "../guard/hold_watchdog.ts";
import type { GuardedCgroup } from "../guard/registry.ts";
import { parseSize } from "../parse/cgroupfs.ts";
import { isThrottledAt, levelOf } from "../policy/levels.ts";
import { workingSet } from "../policy/limits.ts";
import { delay } from "../timing.ts";
import type { Activity } from "./activity.ts";
import type { CgroupStatus } from "./format.ts";

/** Other work of this thread is delayed no longer than this. */
const MAX_MS_PER_TURN = 4;

/** Those nearest to their limits first. */
export async function readCgroups(
  guarded: readonly GuardedCgroup[],
  activity: Activity,
): Promise<CgroupStatus[]> {
  const victims = activity.victimsInSubtrees();
  const all: CgroupStatus[] = [];
  let turnEndsAt = performance.now() + MAX_MS_PER_TURN;
  for (const each of guarded) {
    const { path } = each.cgroup;
    all.push({
      ...readCgroup(each),
      victims: victims.get(path) ?? 0,
      guard_kills: activity.guardKillsIn(path),
      last_action: activity.lastActionIn(path) ?? null,
    });
    if (performance.now() < turnEndsAt) continue;
    await delay(0);
    turnEndsAt = performance.now() + MAX_MS_PER_TURN;
  }
  const share = ({ metric_value: value, limit }: CgroupStatus) => (value ?? 0) / limit;
  return all.sort((a, b) => share(b) - share(a) || (a.cgroup < b.cgroup ? -1 : 1));
}

function readCgroup({ cgroup, limitOwner, settings, policy, requested }: GuardedCgroup) {
  const { containerId, podUid } = identify(cgroup.path);
  const { limit, levelBytes, mode } = settings;
  const usage = limitOwner.machine
    ? readUsage(limitOwner)
    : parseSize(tryReader(limitOwner)(limitOwner.hierarchy.version.usageFile));
  const value = policy.metric === "usage" || usage === undefined
    ? usage
    : workingSet({ ...tryReadSnapshot(limitOwner, ["memory.stat"]), usage });
  const high = mode === "throttle" ? tryReadControl(limitOwner, "memory.high") : undefined;
  const isThrottling = high !== undefined && high.trim() === settings.memoryHigh?.set;
  const oomControl = isHold(mode) ? tryReadControl(limitOwner, "memory.oom_control") : undefined;
  return {
    cgroup: cgroup.path,
    container_id: containerId ?? null,
    pod_uid: podUid ?? null,
    rule: policy.rule ?? null,
    usage: usage ?? null,
    metric_value: value ?? null,
    limit,
    limit_owner: limitOwner.machine || limit === limitOwner.hierarchy.machineBytes
      ? null
      : limitOwner.path,
    ...levelBytes,
    level: value === undefined ? null : levelOf(levelBytes, value) ?? null,
    mode,
    requested_mode: requested,
    memory_high: parseSize(high) ?? null,
    throttled: isThrottling && usage !== undefined && isThrottledAt(usage, limit, levelBytes),
    oom_killer_disabled: flagIn(oomControl, "oom_kill_disable"),
    under_oom: flagIn(oomControl, "under_oom"),
  };
}

const flagIn = (text: string | undefined, key: string) =>
  text === undefined ? null : new RegExp(`^${key} 1$`, "m").test(text);
