/** Peaks, limits that were hit, and what the verdict says of kills. */

import assert from "node:assert/strict";
import type { Body } from "../../../core/events/event.ts";
import type { Group } from "../../../core/picture/picture.ts";
import type { RecordingLine } from "../../../core/record/format.ts";
import { pictureOf as pictureOfLines } from "../../helpers/page_cases.ts";
import {
  cgroupLine,
  endLine,
  eventLine,
  head,
  killBody,
  MIB,
  snapshot,
  START,
} from "../../helpers/recorded_run.ts";

const pictureOf = (...lines: RecordingLine[]) => pictureOfLines(lines);

const a = cgroupLine(1, { path: "/a", limit: 100 * MIB });

const peaksOf = ({ peak, peakShare, minHeadroom }: Group) => [
  peak === null ? null : peak / MIB,
  peakShare,
  minHeadroom === null ? null : minHeadroom / MIB,
];

const usageOf = ({ usage: { t, v, length } }: Group) =>
  Array.from({ length }, (_, at) => [Math.round(t[at]! - START), v[at]! / MIB]);

Deno.test("the kernel's own peak counts where it rose during the run, between two samples", () => {
  const [group] = pictureOf(
    head,
    a,
    snapshot(START, 1, 10 * MIB, { peak: 90 * MIB }),
    snapshot(START + 250, 1, 20 * MIB, { peak: 90 * MIB }),
    snapshot(START + 500, 1, 20 * MIB, { peak: 96 * MIB }),
    snapshot(START + 750, 1, 30 * MIB, { peak: 96 * MIB }),
    endLine(START + 1000),
  ).groups;
  assert.deepEqual(peaksOf(group!), [96, 0.96, 4]);
  assert.deepEqual(usageOf(group!), [
    ...[[0, 10], [250, 20], [500, 20], [500, 96], [500, 20]],
    ...[[750, 30], [1000, 30]],
  ]);
});

Deno.test("a peak of the kernel from before the run does not count", () => {
  const before = { peak: 90 * MIB };
  const [group] = pictureOf(
    head,
    a,
    ...[0, 1, 2].map((at) => snapshot(START + at, 1, 10 * MIB, before)),
    endLine(START + 9),
  ).groups;
  assert.deepEqual(peaksOf(group!), [10, 0.1, 90]);
});

Deno.test("a kill at the limit is 100 % of it, whatever the samples show", () => {
  const { groups, verdict } = pictureOf(
    { ...head, command: "watch" },
    a,
    snapshot(START, 1, 31 * MIB),
    snapshot(START + 250, 1, 5 * MIB),
    eventLine(START + 200, "/a", killBody("tail", 7, 100 * MIB)),
    endLine(START + 500),
  );
  assert.deepEqual(peaksOf(groups[0]!), [100, 1, 0]);
  assert.deepEqual(usageOf(groups[0]!), [[0, 31], [200, 100], [200, 31], [250, 5], [500, 5]]);
  assert.match(verdict, /because the cgroup reached its limit of 100\.0 MiB\.$/);
});

Deno.test("a kill at an ancestor's limit is 100 % of it, and no peak of the cgroup's own usage", () => {
  const kill = { ...killBody("tail"), limit_owner: "/top", limit: 200 * MIB } as Body;
  const below = { ...cgroupLine(1, { path: "/top/a", limit: 200 * MIB }), limit_owner: "/top" };
  const { groups, verdict } = pictureOf(
    { ...head, command: "watch" },
    below,
    { ...below, id: 2, path: "/top/b", usage_cgroup: "/top/b" },
    snapshot(START, 1, 31 * MIB),
    snapshot(START, 2, 50 * MIB),
    eventLine(START + 200, "/top/a", kill),
    endLine(START + 500),
  );
  assert.deepEqual(groups.map(peaksOf), [[31, 1, 0], [50, 0.25, 150]]);
  assert.match(verdict, /in \/top\/a at .* because \/top reached its limit of 200\.0 MiB\.$/);
});

Deno.test("a kill by a machine without memory reaches no limit of a cgroup", () => {
  const kill = { ...killBody("tail"), scope: "system" } as Body;
  const { groups, verdict } = pictureOf(
    head,
    a,
    snapshot(START, 1, 31 * MIB),
    eventLine(START + 200, "/a", kill),
    endLine(START + 500),
  );
  assert.deepEqual(peaksOf(groups[0]!), [31, 0.31, 69]);
  assert.match(verdict, /because the machine ran out of memory\.$/);
});

Deno.test("the verdict of several kills has their number, names, times, and a reason that they share", () => {
  const kill = (at: number, comm: string, limit: number) =>
    eventLine(START + at, "/a", killBody(comm, at, limit));
  const verdictOf = (...lines: RecordingLine[]) =>
    pictureOf(head, a, ...lines, endLine(START + 90_000)).verdict;
  const [java, node] = [kill(1000, "java", 100 * MIB), kill(61_000, "node", 100 * MIB)];
  assert.equal(
    verdictOf(java, node),
    "The kernel killed 2 processes (java, node) in /a between 04:56:03 and 04:57:03 UTC " +
      "because the cgroup reached its limit of 100.0 MiB.",
  );
  assert.match(
    verdictOf(java, kill(1300, "sh", 50 * MIB)),
    /\(java, sh\) in \/a at 04:56:03 UTC\.$/,
  );
  const days = pictureOf(head, a, java, endLine(START + 86_400_000)).verdict;
  assert.match(days, /at 2026-11-22 04:56:03 UTC because/);
});
