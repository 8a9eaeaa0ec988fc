/** The text of `oomkit status`, whole and at the widths of terminals. */

import assert from "node:assert/strict";
import { guardLines } from "../../../cli/status/text.ts";
import { widthOf } from "../../../cli/terminal/width.ts";
import type { CgroupStatus, GuardStatus } from "../../../core/status/format.ts";
import { cgroupStatus, guardStatus, lastAction } from "../../helpers/guard_status.ts";

const MIB = 1024 ** 2;

const textOf = (status: GuardStatus, { width = Infinity, rows = 20 } = {}): string =>
  guardLines(status, rows, { style: (_, text) => text, width }).join("\n");

/** As the command prints them where TZ is UTC. */
const local = (ts: string): string => {
  const at = new Date(ts);
  const pad = (value: number) => String(value).padStart(2, "0");
  const date = [at.getFullYear(), pad(at.getMonth() + 1), pad(at.getDate())].join("-");
  return `${date} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(pad).join(":")}`;
};

/** The table, without the facts above it. */
const tableOf = (cgroups: CgroupStatus[], width?: number, rows?: number): string[] => {
  const layout = { ...width && { width }, ...rows !== undefined && { rows } };
  return textOf(guardStatus({ cgroups }), layout).split("\n\n")[1]?.split("\n") ?? [];
};

/** Something in each column. */
const busy = cgroupStatus(`/kubepods/${"burstable/".repeat(5)}pod1`, {
  usage: 63 * MIB,
  metric_value: 63 * MIB,
  limit_owner: "/kubepods",
  level: "imminent",
  oom_killer_disabled: true,
  victims: 1,
  guard_kills: 12,
  last_action: lastAction(),
});

Deno.test("a guard of the machine without other targets says so", () => {
  const cgroups = [cgroupStatus("/", { limit_owner: null })];
  assert.match(
    textOf(guardStatus({ targets: [], recursive: false, cgroups })),
    /targets +the machine/,
  );
});

Deno.test("a policy says what a kill also depends on", () => {
  const [policy] = guardStatus().policies;
  const policies = [{ ...policy!, swap: "90%", psi: "full:10%/10s" }];
  assert.match(
    textOf(guardStatus({ policies })),
    /imminent process, swap 90%, below imminent only after full:10%\/10s of stall/,
  );
});

Deno.test("a guard at rest is a block of facts and one row without empty columns", () => {
  const status = guardStatus();
  assert.equal(
    textOf(status, { width: 80 }),
    `guard 4242  up 2h 2m, since ${local(status.started)}, oomkit 0.1.0
targets    /a, recursive
guarded    1 cgroup: 1 hold-near-limit
policy     mode auto, warn at 65% noop, critical at 90% reclaim, imminent
           process
thread     SCHED_FIFO, responds
sources    kernel log: /dev/kmsg · events: inotify on memory.events
receivers  webhook 1 pending, 2 sent, 0 dropped, 3 failed
itself     RSS 90.0 MiB, 40.0 MiB anonymous; CPU 7.3 s, 0.10%
kills      by the guard 0, by the kernel 0

USAGE  LIMIT    %  LEVELS AT          CGROUP
32.0M  64.0M  50%  41.0M 57.0M 62.0M  /a/b`,
  );
});

Deno.test("what was done, and what is not available, is part of the facts", () => {
  const text = textOf(guardStatus({
    guard_kills: 1,
    victims: 2,
    last_actions: [lastAction()],
    degraded: [{ requested: "throttle", fallback: "notify", reason: "read-only", cgroups: 3 }],
  }));
  const expected = `degraded   throttle → notify (3 cgroups): read-only
kills      by the guard 1, by the kernel 2
  ${local(lastAction().ts)}  /a/b
    pid 42 (tail) killed by SIGKILL at 63.0 MiB of 64.0 MiB`;
  assert.ok(text.includes(expected), text);
});

Deno.test("the guard of another user is shown as such", () => {
  const other = 1 + Deno.uid()!;
  assert.match(textOf(guardStatus({ uid: other })), new RegExp(`^guard 4242 of user ${other}  up`));
});

Deno.test("a monitor thread that hangs is in the facts", () => {
  const text = textOf(guardStatus({ heartbeat_age_seconds: 20 }));
  assert.match(text, /^thread {5}SCHED_FIFO, has not responded for 20\.0 s$/m);
});

Deno.test("a dry run is in the first line, and each rule has a line", () => {
  const [policy] = guardStatus().policies;
  const dry = { ...policy!, dry_run: true };
  const text = textOf(guardStatus({ policies: [{ ...dry, rule: "db", cgroups: 2 }, dry] }));
  assert.match(text, /^guard 4242 .*, DRY RUN$/m);
  assert.match(text, /^policy {5}rule "db", 2 cgroups: mode auto, dry run, warn at 65% noop, /m);
  assert.match(text, /^policy {5}default, 1 cgroup: mode auto, /m);
  const partly = textOf(guardStatus({ policies: [{ ...dry, rule: "db" }, policy!] }));
  assert.doesNotMatch(partly, /DRY RUN/);
});

Deno.test("in a pipe each row has everything, with the whole path", () => {
  const [titles, row] = tableOf([busy]);
  assert.equal(
    titles,
    "USAGE  LIMIT    %  LEVEL     STATE  KERNEL  GUARD  LAST ACTION                         " +
      "LEVELS AT          LIMIT OF   CGROUP",
  );
  assert.equal(
    row,
    "63.0M  64.0M  98%  imminent  held        1     12  " +
      `${local(busy.last_action!.ts)} process killed  41.0M 57.0M 62.0M  /kubepods  ${busy.cgroup}`,
  );
});

Deno.test("in 80 columns the path has room, and what can be found elsewhere gives way first", () => {
  const [titles, row] = tableOf([busy], 80);
  assert.equal(titles, "USAGE  LIMIT    %  LEVEL     STATE  GUARD  LIMIT OF   CGROUP");
  assert.match(
    row!,
    /^63\.0M {2}64\.0M {2}98% {2}imminent {2}held +12 {2}\/kubepods {2}\/kube\S*…/,
  );
  assert.equal(tableOf([busy], 60)[0], "USAGE  LIMIT    %  STATE  GUARD  CGROUP");
});

Deno.test("the owner of a limit leaves room for the path in a terminal, and is whole in a pipe", () => {
  const owner = `/kubepods/${"burstable/".repeat(3)}pod1`;
  const cgroup = cgroupStatus(`${owner}/c`, { limit_owner: owner });
  assert.match(tableOf([cgroup], 80)[1]!, / {2}\/kube\S*…\S*\/pod1 {2}\S+$/);
  assert.ok(tableOf([cgroup])[1]!.endsWith(`  ${owner}  ${owner}/c`));
  assert.ok(tableOf([{ ...cgroup, limit_owner: null }], 80)[1]!.includes("  the machine  "));
});

Deno.test("no line is wider than the terminal", () => {
  const status = guardStatus({
    targets: ["/a", "/b"],
    cgroups: [busy, cgroupStatus("/a/b")],
    last_actions: [lastAction({ cgroup: busy.cgroup })],
    degraded: [{ requested: "a", fallback: "b", reason: "c ".repeat(80), cgroups: 1 }],
  });
  for (const width of [80, 100, 120, 200]) {
    for (const line of textOf(status, { width }).split("\n")) {
      assert.ok(widthOf(line) <= width, `${width}: ${line}`);
    }
  }
});

Deno.test("rows beyond the requested ones are counted", () => {
  const cgroups = Array.from({ length: 25 }, (_, at) => cgroupStatus(`/a/${at}`));
  assert.equal(tableOf(cgroups, 80, 20).length, 1 + 20 + 1);
  assert.equal(tableOf(cgroups, 80, 20).at(-1), "  … and 5 more; -n 25 lists all");
  assert.equal(tableOf(cgroups, 80, 25).length, 1 + 25);
});

Deno.test("each state has its word", () => {
  const states: [Partial<CgroupStatus>, string][] = [
    [{ oom_killer_disabled: true }, "held"],
    [{ oom_killer_disabled: true, under_oom: true }, "waiting"],
    [{ mode: "throttle", requested_mode: "throttle", throttled: true }, "throttled"],
    [{ mode: "notify", requested_mode: "throttle" }, "degraded"],
  ];
  for (const [changes, word] of states) {
    const [titles, row] = tableOf([cgroupStatus("/a", changes)]);
    assert.match(titles!, / STATE /);
    assert.ok(row!.includes(` ${word} `), row);
  }
});

Deno.test("no text of a guard reaches the terminal as control characters", () => {
  const evil = "\x1b[2J\n\u009b";
  const [policy] = guardStatus().policies;
  const text = textOf(guardStatus({
    version: evil,
    targets: [evil],
    scheduling: evil,
    sources: [evil],
    policies: [{
      ...policy!,
      rule: evil,
      mode: evil,
      metric: evil,
      actions: { warn: [evil] } as never,
    }],
    receivers: [{ receiver: evil, pending: 0, sent: 0, dropped: 0, failed: 0 }],
    degraded: [{ requested: evil, fallback: evil, reason: evil, cgroups: 1 }],
    last_actions: [lastAction({ cgroup: evil, message: evil })],
    cgroups: [
      cgroupStatus(evil, {
        mode: evil,
        limit_owner: evil + evil,
        last_action: lastAction({ action: evil, outcome: evil }),
      }),
    ],
  }));
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
  assert.ok(!text.split("\n").some((line) => line.startsWith("[2J")), text);
});
