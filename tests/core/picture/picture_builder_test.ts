import assert from "node:assert/strict";
import { pictureWords } from "../../../cli/output/picture.ts";
import { runPage } from "../../../core/picture/page.ts";
import { MAX_GROUPS, PictureBuilder } from "../../../core/picture/picture_builder.ts";
import { limitSeries, type Picture } from "../../../core/picture/picture.ts";
import type { Series } from "../../../core/picture/series.ts";
import { stillPicture } from "../../../core/picture/still.ts";
import type { RecordingLine } from "../../../core/record/format.ts";
import {
  cgroupLine,
  crowdedRun,
  endLine,
  eventLine,
  head,
  killBody,
  killedRun,
  levelReachedEvent,
  MIB,
  snapshot,
  START,
} from "../../helpers/recorded_run.ts";

function pictureOf(...lines: RecordingLine[]): Picture {
  const builder = new PictureBuilder(pictureWords);
  for (const line of lines) builder.add(line);
  return builder.picture()!;
}

const a = cgroupLine(1, { path: "/a", limit: 100 * MIB });

Deno.test("the verdict of a run with a kernel kill names process, cgroup and limit", () => {
  const picture = pictureOf(...killedRun(50));
  assert.equal(
    picture.verdict,
    "The kernel killed java (pid 4242) in payments-api at 04:59:01 UTC because the cgroup reached its limit of 512.0 MiB.",
  );
  assert.equal(picture.tone, "bad");
  assert.deepEqual(
    picture.killedProcesses.map(({ pid, comm, by, bytes }) => [pid, comm, by, bytes]),
    [[4242, "java", "kernel", 491 * MIB]],
  );
  assert.deepEqual(picture.events.map(({ type, kind }) => [type, kind]), [
    ["level_reached", "level"],
    ["level_reached", "level"],
    ["max", "oom"],
    ["oom", "oom"],
    ["oom_kill", "kill"],
  ]);
  assert.deepEqual(picture.remarks, []);
});

Deno.test("the verdict of a run without kills has the highest share of a limit", () => {
  const near = (usage: number) =>
    pictureOf(head, a, snapshot(START + 1, 1, usage), endLine(START + 9));
  assert.equal(
    near(91 * MIB).verdict,
    "Nothing was killed: /a used at most 91.0 % of its limit, 100.0 MiB.",
  );
  assert.deepEqual([near(91 * MIB).tone, near(40 * MIB).tone], ["warn", "fine"]);
});

Deno.test("the verdict says if there is no limit or no sample", () => {
  const unlimited = cgroupLine(1, { path: "/a", limit: null });
  assert.match(
    pictureOf(head, unlimited, snapshot(START, 1, 5 * MIB), endLine(START)).verdict,
    /no cgroup has a limit: \/a used at most 5\.0 MiB/,
  );
  assert.match(pictureOf(head, endLine(START)).verdict, /no cgroup was sampled/);
});

Deno.test("kills of a guard and of the kernel are distinguished", () => {
  const action = eventLine(START + 5, "/a", {
    type: "action",
    action: "process",
    level: "imminent",
    mode: "notify",
    dry_run: false,
    signal: "SIGKILL",
    victim: {
      pid: 7,
      comm: "leaky",
      cmdline: [],
      cgroup: "/a",
      rss: 90 * MIB,
      oom_score_adj: 0,
      badness: 1,
      preference: "none",
      preference_reason: null,
    },
    killed_cgroup: null,
    candidates: [],
    usage_before: 95 * MIB,
    usage_after: 3 * MIB,
    limit: 100 * MIB,
    level_bytes: 95 * MIB,
    outcome: "killed",
    reason: null,
    freed: 92 * MIB,
    signal_ms: 1,
    exit_ms: 3,
    freed_ms: 4,
  });
  const ended = pictureOf(head, a, action, endLine(START + 9));
  assert.equal(
    ended.verdict,
    "oomkit killed leaky (pid 7) in /a at 04:56:02 UTC because usage reached level imminent, " +
      "95.0 MiB of 100.0 MiB; the kernel killed nothing.",
  );
  assert.deepEqual(ended.killedProcesses.map(({ by, why, signal }) => [by, why, signal]), [
    ["oomkit", "usage reached level imminent, 95.0 MiB of 100.0 MiB", "SIGKILL"],
  ]);
  const both = pictureOf(head, a, action, eventLine(START + 6, "/a", killBody("java")));
  assert.match(
    both.verdict,
    /^The kernel killed java .*; oomkit killed leaky \(pid 7\)\.$/,
  );
});

Deno.test("cgroups are sorted by kills, share of the limit, and peak", () => {
  const paths = pictureOf(...crowdedRun(4, 20)).groups.map(({ path }) => path.split("/").at(-1));
  assert.deepEqual(paths, [
    "payments-api.service",
    "search-index.service",
    "ledger.service",
    "cache.service",
  ]);
});

Deno.test("a changed limit is drawn as steps, and shares are of the limit at that time", () => {
  const picture = pictureOf(
    head,
    a,
    snapshot(START + 1, 1, 50 * MIB),
    { ...cgroupLine(1, { path: "/a", limit: 200 * MIB }, START + 2) },
    snapshot(START + 3, 1, 120 * MIB),
    { type: "gone", at: START + 4, id: 1 },
    endLine(START + 5),
  );
  const [group] = picture.groups;
  assert.deepEqual(group!.limits.map(({ limit }) => limit), [100 * MIB, 200 * MIB]);
  assert.equal(group!.peakShare, 0.6);
  assert.equal(group!.removedAt, START + 4);
});

Deno.test("a value that did not change holds to the end of the cgroup, or of the run", () => {
  const { groups } = pictureOf(
    head,
    a,
    cgroupLine(2, { path: "/b", limit: 100 * MIB }),
    snapshot(START + 1, 1, 50 * MIB, { some: 1, inactive_file: MIB }),
    snapshot(START + 1, 2, 40 * MIB),
    { type: "gone", at: START + 400, id: 2 },
    endLine(START + 900),
  );
  const pointsOf = ({ t, v, length }: Series) =>
    Array.from({ length }, (_, at) => [t[at]! - START, v[at]! / MIB]);
  const [first, second] = groups;
  assert.deepEqual(pointsOf(first!.usage), [[1, 50], [900, 50]]);
  assert.deepEqual(pointsOf(first!.working), [[1, 49], [900, 49]]);
  assert.equal(first!.some.length, 2);
  assert.deepEqual(pointsOf(second!.usage), [[1, 40], [400, 40]]);
  assert.deepEqual(pointsOf(limitSeries(second!, START + 900)), [[0, 100], [400, 100]]);
});

Deno.test("the still picture draws steps: it holds a value, then falls at once", () => {
  const svg = stillPicture(pictureOf(
    head,
    a,
    snapshot(START, 1, 50 * MIB),
    snapshot(START + 800, 1, 10 * MIB),
    endLine(START + 1000),
  ));
  const [, path] = /<path class="usage g0" d="([^"]*)"/.exec(svg) ?? [];
  assert.match(path!, /^M78 [\d.]+H743\.6V[\d.]+H910V[\d.]+$/);
});

Deno.test("the verdict names the limit of the highest share, not a later one", () => {
  const picture = pictureOf(
    head,
    a,
    snapshot(START + 1, 1, 98 * MIB),
    cgroupLine(1, { path: "/a", limit: 1000 * MIB }, START + 2),
    snapshot(START + 3, 1, 99 * MIB),
    endLine(START + 5),
  );
  assert.match(picture.verdict, /used at most 98\.0 % of its limit, 100\.0 MiB\.$/);
  assert.equal(picture.groups[0]!.peakShareHeadroom, 2 * MIB);
});

Deno.test("of too many cgroups the existing ones and those near their limit stay", () => {
  const lines: RecordingLine[] = [head];
  for (let id = 1; id <= MAX_GROUPS + 500; id++) {
    lines.push(
      cgroupLine(id, { path: `/${id}`, limit: 100 * MIB }),
      snapshot(START + id, id, (id === 7 ? 99 : 10) * MIB),
      { type: "gone", at: START + id, id },
    );
  }
  const picture = pictureOf(...lines, endLine(START + 1e6));
  assert.equal(picture.groups.length, MAX_GROUPS);
  assert.equal(picture.groups[0]!.path, "/7");
  assert.deepEqual(picture.remarks, ["500 more cgroups are not shown."]);
});

Deno.test("the limits of the recording are remarks", () => {
  assert.deepEqual(pictureOf(head, a).remarks, [
    "The recording is incomplete: its end is missing, after 04:56:02.350 UTC.",
  ]);
  assert.deepEqual(
    pictureOf(head, a, { type: "lost", at: START, snapshots: 9 }, {
      type: "end",
      at: START,
      reason: "full",
    }).remarks,
    [
      "The recording reached its maximum size before the end of the run.",
      "9 samples were lost: they came faster than they could be written.",
    ],
  );
});

Deno.test("of too many events the kills stay, and the number of the others is a remark", () => {
  const builder = new PictureBuilder(pictureWords);
  for (const line of [head, a]) builder.add(line);
  for (let n = 0; n < 6000; n++) {
    builder.add(eventLine(START + n, "/a", levelReachedEvent("warn", 65 * MIB)));
  }
  builder.add(eventLine(START + 6000, "/a", killBody("java")));
  builder.add(endLine(START + 6001));
  const { events, remarks } = builder.picture()!;
  assert.equal(events.length, 5000);
  assert.equal(events.at(-1)!.kind, "kill");
  assert.match(remarks.join(), /1001 more events are not shown/);
});

Deno.test("an event from a file may have any fields", () => {
  const odd = [
    { victim: 7, limit_owner: {}, scope: [] },
    { victim: { comm: {}, pid: "x" }, limit: "much" },
    { count: -1.5, usage: "a lot" },
  ];
  for (const type of ["oom_kill", "oom", "action", "guard_armed", "verdict", "start", "new_word"]) {
    for (const rest of odd) {
      const event = { type, ts: "yesterday", cgroup: "/a\n\u202e", ...rest };
      const picture = pictureOf(head, a, { type: "event", at: START, event });
      assert.ok(picture.verdict.length > 0, type);
    }
  }
});

Deno.test("external names are shown with invisible characters as escapes", () => {
  const { groups, killedProcesses } = pictureOf(
    head,
    cgroupLine(1, { path: "/a\n\x1b[31m\u202egnp" }),
    eventLine(START, "/a\n\x1b[31m\u202egnp", killBody("x\u2066y")),
  );
  assert.equal(groups[0]!.path, "/a\\x0a\\x1b[31m\\u202egnp");
  assert.equal(killedProcesses[0]!.comm, "x\\u2066y");
  assert.equal(killedProcesses[0]!.group, 0);
});

const guardKill = (
  at: number,
  cgroup: string,
  part: { readonly outcome?: "killed" | "survived" } = {},
) =>
  eventLine(at, cgroup, {
    type: "action",
    action: "container",
    level: "imminent",
    mode: "notify",
    dry_run: false,
    signal: "SIGKILL",
    victim: null,
    killed_cgroup: cgroup,
    candidates: [],
    usage_before: 95 * MIB,
    usage_after: 3 * MIB,
    limit: 100 * MIB,
    level_bytes: 95 * MIB,
    outcome: "killed",
    reason: null,
    freed: 92 * MIB,
    signal_ms: 1,
    exit_ms: 3,
    freed_ms: 4,
    ...part,
  });

Deno.test("each cgroup has the kills by the kernel and by the guard, also those in a cgroup below it", () => {
  const b = cgroupLine(2, { path: "/a/b", limit: 100 * MIB });
  const { groups, events } = pictureOf(
    head,
    a,
    b,
    guardKill(START + 1, "/a"),
    guardKill(START + 2, "/a"),
    guardKill(START + 3, "/a", { outcome: "survived" }),
    eventLine(START + 4, "/a/c/d", killBody("java")),
    eventLine(START + 5, "/a/b/c", killBody("node")),
    eventLine(START + 6, "/elsewhere", killBody("sh")),
    endLine(START + 9),
  );
  assert.deepEqual(groups.map(({ path, kills, guardKills }) => [path, kills, guardKills]), [
    ["/a", 1, 2],
    ["/a/b", 1, 0],
  ]);
  assert.deepEqual(events.map(({ group }) => group), [0, 0, 0, 0, 1, null]);
});

Deno.test("a kill belongs to the cgroup of that path that existed then, not to one created again later", () => {
  const { groups, events, killedProcesses } = pictureOf(
    head,
    a,
    snapshot(START + 1, 1, 90 * MIB),
    eventLine(START + 2, "/a", killBody("java")),
    { type: "gone", at: START + 3, id: 1 },
    cgroupLine(2, { path: "/a", limit: 100 * MIB }),
    snapshot(START + 5, 2, MIB),
    guardKill(START + 6, "/a"),
    guardKill(START + 7, "/a"),
    endLine(START + 9),
  );
  assert.deepEqual(groups.map(({ id, kills, guardKills }) => [id, kills, guardKills]), [
    [2, 0, 2],
    [1, 1, 0],
  ]);
  assert.deepEqual(events.map(({ group }) => group), [1, 0, 0]);
  assert.deepEqual(killedProcesses.map(({ group }) => group), [1, 0, 0]);
});

Deno.test("the verdict counts all kills, also those that are not listed", () => {
  const builder = new PictureBuilder(pictureWords);
  for (const line of [head, a]) builder.add(line);
  for (let n = 0; n < 1500; n++) builder.add(guardKill(START + n, "/a"));
  assert.match(builder.picture()!.verdict, /^oomkit killed 1500 processes \(.*, …\);/);
  builder.add(eventLine(START + 1500, "/a", killBody("java")));
  const { verdict, killedProcesses, remarks } = builder.picture()!;
  assert.match(verdict, /^The kernel killed java \(pid 4242\) in \/a /);
  assert.match(verdict, /; oomkit killed 1500 processes \(.*, …\)\.$/);
  assert.equal(killedProcesses.length, 1001);
  assert.match(remarks.join(), /500 more victims are not shown/);
});

Deno.test("the table of a guard has a column of its kills, that of a watch has none", async () => {
  const titlesOf = async (command: "watch" | "guard") => {
    const page = await runPage(pictureOf({ ...head, command }, a, endLine(START + 9)));
    const [, titles] = /id="groups"><thead><tr>(.*?)<\/tr>/s.exec(page)!;
    return titles!.match(/(?<=>)[^<>]+(?=<\/th>)/g);
  };
  const figures = ["Cgroup", "Peak", "Limit", "Peak % of limit", "Minimum headroom"];
  assert.deepEqual(await titlesOf("guard"), [
    ...figures,
    "Kernel kills",
    "Guard kills",
    "Limit set by",
  ]);
  assert.deepEqual(await titlesOf("watch"), [...figures, "Kernel kills", "Limit set by"]);
});
