import assert from "node:assert/strict";
import fc from "fast-check";
import { cgroupName, eventFacts, eventText } from "../../../cli/output/event_text.ts";
import type { Style } from "../../../cli/terminal/palette.ts";
import { type Body, makeEvent } from "../../../core/events/event.ts";

const plain: Style = (_, text) => text;
const at = new Date(2026, 10, 21, 9, 5, 7, 42).getTime();
const line = (body: Body, cgroup = "/a/oomkit-sim-42-7") =>
  eventText(makeEvent(at, cgroup, "eventfd", body), plain);

const kill: Body = {
  type: "oom_kill",
  victim: {
    pid: 4242,
    comm: "oomkit",
    uid: 0,
    anon_rss: 19 * 1024 ** 2,
    file_rss: 0,
    shmem_rss: 0,
    oom_score_adj: 0,
  },
  limit_owner: "/a",
  limit: 20 * 1024 ** 2,
  scope: "cgroup",
  inferred: false,
};

Deno.test("an event is one line with local time, type, cgroup, facts and source", () => {
  assert.equal(
    line(kill),
    "09:05:07.042  oom_kill        /a/oomkit-sim-42-7          " +
      "  pid 4242 (oomkit) killed at the limit of /a (20.0 MiB), anon 19.0 MiB  [eventfd]",
  );
});

Deno.test("a threshold states its share of the limit", () => {
  const body: Body = {
    type: "threshold",
    threshold: 13 * 1024 ** 2,
    direction: "above",
    usage: 13.5 * 1024 ** 2,
    limit: 20 * 1024 ** 2,
  };
  assert.match(line(body), /usage 13\.5 MiB rose above 13\.0 MiB \(65\.0% of 20\.0 MiB\)/);
});

Deno.test("a kill that is only known from a counter names no victim", () => {
  const body: Body = { ...kill, victim: null, limit_owner: null, limit: null, scope: null };
  assert.equal(
    eventFacts(makeEvent(at, "/a", "poll", body)),
    "unknown process killed",
  );
});

Deno.test("unknown sizes are a dash and never a zero", () => {
  const body: Body = { type: "max", count: 3n, usage: null };
  assert.match(line(body), /limit hit 3 times, the kernel reclaims, usage –/);
});

Deno.test("a container id is shortened to twelve digits as in its runtime", () => {
  const id = "0123456789ab".padEnd(64, "c");
  assert.equal(
    cgroupName(`/system.slice/docker-${id}.scope`),
    "…/docker-0123456789ab.scope",
  );
});

Deno.test("any cgroup name fits into the column and has no control characters", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), (name) => {
    const shown = cgroupName(`/${name}`);
    assert.ok(shown.length <= 28, shown);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(shown, /[\x00-\x1f\x7f]/);
  }));
});

Deno.test("a process name cannot break the line or colour the terminal", () => {
  const body: Body = { ...kill, victim: { ...kill.victim!, comm: "x\n\x1b[31m" } };
  assert.ok(line(body).includes("(x\\x0a\\x1b[31m)"));
});
