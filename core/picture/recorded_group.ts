/** What is collected of one cgroup of a recording. */

import { shareOfLimit } from "../figures.js";
import type { RecordedCgroup } from "../record/format.ts";
import type { Step } from "./picture.ts";
import { emptySeries } from "./series.ts";

export type GroupData = ReturnType<typeof newGroup>;

export function newGroup(cgroup: RecordedCgroup, step: Step) {
  const unknown = null as number | null;
  return {
    id: cgroup.id,
    cgroup,
    limits: [step],
    usage: emptySeries(),
    working: emptySeries(),
    some: emptySeries(),
    full: emptySeries(),
    peak: unknown,
    /** This and the next: the last one that was read. */
    inactiveFile: unknown,
    kernelPeak: unknown,
    peakShare: unknown,
    peakShareLimit: unknown,
    peakShareHeadroom: unknown,
    minHeadroom: unknown,
    removedAt: unknown,
  };
}

export const seriesOf = ({ usage, working, some, full }: GroupData) => [usage, working, some, full];

/**
 * Whether the kernel's own peak has risen since it was last read, above all samples. The first one that is read may have been
 * reached long before the run.
 */
export function isNewPeak(group: GroupData, peak: number): boolean {
  const before = group.kernelPeak;
  group.kernelPeak = Math.max(before ?? 0, peak);
  return before !== null && peak > Math.max(before, group.peak ?? 0);
}

/** @param limit at that time. */
export function raisePeak(group: GroupData, usage: number, limit: number | null): void {
  group.peak = Math.max(group.peak ?? 0, usage);
  if (limit !== null) raiseShare(group, shareOfLimit(usage, limit) / 100, limit, limit - usage);
}

/** All of the limit was in use: by this cgroup and by others to which it applies. */
export const markLimitHit = (group: GroupData, limit: number) => raiseShare(group, 1, limit, 0);

function raiseShare(group: GroupData, share: number, limit: number, headroom: number): void {
  const left = Math.max(0, headroom);
  group.minHeadroom = Math.min(group.minHeadroom ?? Infinity, left);
  if (share < (group.peakShare ?? 0)) return;
  group.peakShare = share;
  group.peakShareLimit = limit;
  group.peakShareHeadroom = left;
}
