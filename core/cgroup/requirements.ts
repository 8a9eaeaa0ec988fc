/** Tries, without changing anything, what a cgroup and this machine allow: the answers of a node check. */

import { parsePressure } from "../parse/cgroupfs.ts";
import type { Verdict } from "../policy/check.ts";
import { readAncestry } from "./ancestry.ts";
import {
  ancestorsOf,
  type Cgroup,
  childrenOf,
  readCounters,
  tryReadControl,
  tryReader,
  walk,
} from "./cgroup.ts";
import { canOpen, canWatch, tryReadText } from "./files.ts";
import { readMeminfo } from "./machine.ts";

export interface RequirementCheck {
  readonly verdict: Verdict;
  /** What was found, and where. */
  readonly message: string;
}

const ok = (message: string): RequirementCheck => ({ verdict: "ok", message });
const notOk = (message: string): RequirementCheck => ({ verdict: "not_ok", message });
const unknown = (message: string): RequirementCheck => ({ verdict: "unknown", message });

/** What can be required, in the order in which it is checked and explained. */
export const REQUIREMENTS = {
  limit: "a limit that counts for the cgroup",
  psi: "pressure stall information",
  v1: "the memory controller in hierarchy v1",
  v2: "the memory controller in hierarchy v2",
  notify: "the kernel would tell of an OOM here",
  kmsg: "the kernel log may be read: who was killed",
  write: "limits may be changed",
  "swap-off": "no swap that puts the OOM off",
  killer: "the kernel kills at the limit, nobody just waits",
  "no-kills": "nothing was killed here so far",
} as const;

export type Requirement = keyof typeof REQUIREMENTS;

export function checkRequirements(requirement: Requirement, cgroup: Cgroup): RequirementCheck {
  return REHEARSALS[requirement](cgroup);
}

const isVersion = (requested: 1 | 2) => ({ hierarchy: { version, mount } }: Cgroup) => {
  const found = `the memory controller is in hierarchy v${version.number}, at ${mount}`;
  return version.number === requested ? ok(found) : notOk(found);
};

const REHEARSALS: Readonly<Record<Requirement, (cgroup: Cgroup) => RequirementCheck>> = {
  limit(cgroup) {
    const { limit, certain, unreadable } = readAncestry(cgroup);
    if (limit.bytes !== Infinity) {
      return ok(`limited by ${limit.owner ?? "an ancestor that cannot be seen"}`);
    }
    const [path] = unreadable;
    if (path !== undefined) return unknown(`the limit of ${path} cannot be read`);
    return certain
      ? notOk("no limit, neither its own nor an ancestor's")
      : unknown("no limit that can be seen; its ancestors cannot be seen from here");
  },

  psi(cgroup) {
    const isOwn = cgroup.hierarchy.version.number === 2;
    const path = isOwn ? `${cgroup.dir}/memory.pressure` : "/proc/pressure/memory";
    return parsePressure(
        (isOwn ? tryReadControl(cgroup, "memory.pressure") : tryReadText(path)) ?? "",
      )
      ? ok(`${path} is there`)
      : notOk(`${path} tells nothing: PSI is not built in, or needs psi=1 on the command line`);
  },

  v1: isVersion(1),
  v2: isVersion(2),

  notify({ dir, hierarchy: { version } }) {
    if (version.number === 2) {
      const path = `${dir}/memory.events`;
      const refused = canWatch(path);
      return refused === undefined
        ? ok(`${path} takes an inotify watch`)
        : notOk(`${path}: ${refused}`);
    }
    // Real-time kernels refuse v1's notifications: kernel, mm/memcontrol-v1.c, memcg_write_event_control.
    if (tryReadText("/sys/kernel/realtime")?.trim() === "1") {
      return notOk("a real-time kernel has no v1 notifications");
    }
    const path = `${dir}/cgroup.event_control`;
    const refused = canOpen(path, { write: true }) ?? canOpen(`${dir}/memory.oom_control`, {});
    return refused === undefined ? ok(`${path} may be written`) : notOk(refused);
  },

  kmsg() {
    const refused = canOpen("/dev/kmsg", {});
    return refused === undefined ? ok("/dev/kmsg may be read") : notOk(refused);
  },

  write({ dir, hierarchy: { version } }) {
    const path = `${dir}/${version.limitFile}`;
    const refused = canOpen(path, { write: true });
    return refused === undefined ? ok(`${path} may be written`) : notOk(refused);
  },

  "swap-off"(cgroup) {
    const { swapTotal } = readMeminfo();
    if (swapTotal === undefined) return unknown("/proc/meminfo does not tell of swap");
    if (swapTotal === 0) return ok("the machine has no swap");
    const barred = [cgroup, ...ancestorsOf(cgroup)].find((each) => {
      const { limits } = each.hierarchy.version.snapshot(tryReader(each));
      return limits.swap === 0 || (limits.memsw !== undefined && limits.memsw === limits.max);
    });
    return barred ? ok(`${barred.path} may not swap`) : notOk("the machine has swap, and no limit");
  },

  killer(cgroup) {
    const snapshot = cgroup.hierarchy.version.snapshot(tryReader(cgroup));
    return snapshot.oomKillDisabled
      ? notOk(`oom_kill_disable is set${snapshot.underOom ? ", and tasks are waiting now" : ""}`)
      : ok("the kernel's OOM killer is on");
  },

  "no-kills"(cgroup) {
    const { local, subtree } = readCounters(cgroup) ?? {};
    // v1 counts each kill in the victim's own cgroup only.
    const kills = subtree?.oomKill ?? sum(local?.oomKill, beneath(cgroup));
    if (kills === undefined) return unknown("the kernel does not count kills here");
    return kills === 0n ? ok("no OOM kill so far") : notOk(`${kills} OOM kills so far`);
  },
};

function* beneath(cgroup: Cgroup): Generator<bigint | undefined> {
  for (const child of childrenOf(cgroup)) {
    for (const each of walk(child)) yield readCounters(each)?.local.oomKill;
  }
}

/** What vanished meanwhile adds nothing; `undefined` when not even the first is known. */
function sum(first: bigint | undefined, rest: Iterable<bigint | undefined>): bigint | undefined {
  if (first === undefined) return undefined;
  let total = first;
  for (const each of rest) if (each !== undefined) total += each;
  return total;
}
