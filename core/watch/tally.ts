/** What the kernel counted in one cgroup while it was watched. */

import { identify } from "../cgroup/identity.ts";
import { readOutline } from "../cgroup/cgroup.ts";
import type { Tally } from "../report/event.ts";
import type { Counters } from "../snapshot.ts";
import { counting, type Member } from "./member.ts";

/** `undefined` for a cgroup that nobody named and where nothing happened. */
export function tallyOf(member: Member): Tally | undefined {
  const first = counting(member, member.first);
  const last = counting(member, member.last);
  const rise = (key: keyof Counters): bigint | null => {
    const after = last[key];
    return after === undefined ? null : after - (first[key] ?? 0n);
  };
  const kills = rise("oomKill");
  const { containerId, podUid } = identify(member.cgroup.path);
  const now = member.goneAt === undefined ? readOutline(member.cgroup) : undefined;
  const tally: Tally = {
    cgroup: member.cgroup.path,
    container_id: containerId ?? null,
    pod_uid: podUid ?? null,
    max: rise("max"),
    high: rise("high"),
    // v1 does not count OOMs; what was notified is all there is.
    oom: rise("oom") ??
      (member.notified > 0 || member.source === "eventfd" ? BigInt(member.oomsTold) : null),
    oom_kill: kills === null && member.unread === 0n ? null : (kills ?? 0n) + member.unread,
    oom_group_kill: rise("oomGroupKill"),
    victims: member.victims,
    repeated: member.repeated,
    peak: now?.peak ?? member.peak ?? null,
    limit: finite(now?.limits.max ?? member.limit),
    removed: member.goneAt !== undefined,
  };
  const happened = tally.victims > 0 ||
    [tally.max, tally.high, tally.oom, tally.oom_kill].some((count) =>
      count !== null && count > 0n
    );
  return member.isTarget || happened ? tally : undefined;
}

/** JSON has no infinity: no limit is `null`. */
export function finite(bytes: number | undefined): number | null {
  return bytes === undefined || bytes === Infinity ? null : bytes;
}
