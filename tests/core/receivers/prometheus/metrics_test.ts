import assert from "node:assert/strict";
import { openCgroup } from "../../../../core/cgroup/cgroup.ts";
import { discover } from "../../../../core/cgroup/hierarchy.ts";
import { FAMILIES } from "../../../../core/receivers/prometheus/families.ts";
import { heartbeatHealth } from "../../../../core/receivers/prometheus/server.ts";
import { Metrics, type MetricsOptions } from "../../../../core/receivers/prometheus/metrics.ts";
import { type Body, makeEvent } from "../../../../core/events/event.ts";
import { actionFields, killBody } from "../../../helpers/guard_events.ts";
import { makeTree, type Tree } from "../../../helpers/trees.ts";

function open(options: Partial<MetricsOptions> = {}) {
  const metrics = new Metrics({
    command: "guard",
    version: "1.2.3",
    cgroups: () => [],
    receivers: () => [],
    alive: () => ({ ok: true }),
    ready: () => ({ ok: true }),
    ...options,
  });
  const emit = (cgroup: string, body: Body) => metrics.report(makeEvent(0, cgroup, "none", body));
  return Object.assign(metrics, { emit });
}

/** Values by series. */
function seriesOf(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const series = lines.map((line): [string, number] => {
    const at = line.lastIndexOf(" ");
    return [line.slice(0, at), Number(line.slice(at + 1))];
  });
  assert.equal(new Map(series).size, series.length, "a series occurs twice");
  for (const [name, value] of series) assert.ok(!Number.isNaN(value), name);
  return new Map(series);
}

const monitored = (tree: Tree, paths: readonly string[]) =>
  paths.flatMap((path) => openCgroup(discover(tree.dir), path) ?? [])
    .map((cgroup) => ({ cgroup, mode: "notify", imminent: 90 }));

const KILL: Body = {
  type: "oom_kill",
  victim: null,
  limit_owner: null,
  limit: null,
  scope: "cgroup",
  inferred: false,
};

const ACTION = killBody({ freed: 60, signal_ms: 0.2, exit_ms: 3, freed_ms: 4 });

const POD = "/kubepods/pod0f2f8c2e-1111-2222-3333-444455556666";
const CONTAINER = `${POD}/${"ab".repeat(32)}`;

Deno.test("a cgroup has labels of its container and pod, and no series for unknown values", async () => {
  using tree = makeTree(2, {
    "/kubepods": {},
    [POD]: {},
    [CONTAINER]: { "memory.current": 400, "memory.max": 1000 },
    "/free": { "memory.current": 7 },
  });
  const metrics = open({ cgroups: () => monitored(tree, [CONTAINER, "/free"]) });
  const series = seriesOf(await metrics.text());
  const labels = `cgroup="${CONTAINER}",container_id="${"ab".repeat(32)}",` +
    'pod_uid="0f2f8c2e-1111-2222-3333-444455556666"';
  assert.equal(series.get(`oomkit_cgroup_memory_usage_bytes{${labels}}`), 400);
  assert.equal(series.get(`oomkit_cgroup_memory_limit_bytes{${labels}}`), 1000);
  assert.equal(series.get(`oomkit_cgroup_memory_headroom_bytes{${labels}}`), 600);
  assert.equal(series.get(`oomkit_guard_imminent_bytes{${labels}}`), 90);
  assert.equal(series.get('oomkit_cgroup_memory_usage_bytes{cgroup="/free"}'), 7);
  assert.equal(series.has('oomkit_cgroup_memory_limit_bytes{cgroup="/free"}'), false);
  assert.equal(series.has('oomkit_cgroup_memory_headroom_bytes{cgroup="/free"}'), false);
  assert.equal(series.get('oomkit_guarded_cgroups{mode="notify"}'), 2);
  assert.equal(series.get('oomkit_guarded_cgroups{mode="hold"}'), 0);
});

Deno.test("a cgroup has the names of its pod and node, and its kills keep them when the pod is gone", async () => {
  using tree = makeTree(2, {
    "/kubepods": {},
    [POD]: {},
    [CONTAINER]: { "memory.current": 400, "memory.max": 1000 },
  });
  let isKnown = true;
  let now = 0;
  const metrics = open({
    cgroups: () => monitored(tree, [CONTAINER]),
    now: () => now += 60_000,
    commit: "abc",
    placeOf: (podUid) => ({
      ...(isKnown && podUid !== null && { namespace: "shop", pod: "web-0", container: "nginx" }),
      node: "node-1",
    }),
  });
  metrics.emit(CONTAINER, KILL);
  const names = 'namespace="shop",pod="web-0",container="nginx",node="node-1"';
  const valuesOf = async () =>
    [...seriesOf(await metrics.text())].filter(([series]) => series.includes(names))
      .map(([series, value]) => [series.split("{")[0], value]);
  assert.ok((await valuesOf()).some(([name]) => name === "oomkit_cgroup_memory_usage_bytes"));
  isKnown = false;
  tree.remove(CONTAINER);
  assert.deepEqual(await valuesOf(), [["oomkit_cgroup_oom_kills_total", 1]]);
  const info = 'oomkit_build_info{version="1.2.3",commit="abc",command="guard",node="node-1"}';
  assert.equal(seriesOf(await metrics.text()).get(info), 1);
});

Deno.test("a removed cgroup has no series except its kills", async () => {
  using tree = makeTree(2, { "/a": {}, "/b": {} });
  let now = 0;
  const metrics = open({ cgroups: () => monitored(tree, ["/a", "/b"]), now: () => now += 60_000 });
  assert.ok((await metrics.text()).includes('oomkit_cgroup_oom_kills_total{cgroup="/a"} 0\n'));
  metrics.emit("/a", KILL);
  tree.remove("/a");
  const lines = (await metrics.text()).split("\n").filter((line) => line.includes('"/a"'));
  assert.deepEqual(lines, ['oomkit_cgroup_oom_kills_total{cgroup="/a"} 1']);
});

Deno.test("a hostile name is one line", async () => {
  const names = ['/a"} 1\nevil{x="', "/back\\slash", "/new\nline", "/ünï 🧨"];
  using tree = makeTree(
    2,
    Object.fromEntries(names.map((name) => [name, { "memory.current": 3 }])),
  );
  const metrics = open({ cgroups: () => monitored(tree, names) });
  const text = await metrics.text();
  const line = /^(?:# (?:HELP|TYPE) .+|[a-z_]+(?:\{(?:[a-z_]+="(?:\\[\\n"]|[^\\"])*",?)+\})? \S+)$/;
  for (const each of text.trimEnd().split("\n")) assert.match(each, line);
  assert.equal(text.match(/^oomkit_cgroup_memory_usage_bytes\{.*\} 3$/gm)?.length, 4);
});

Deno.test("kills are counted from zero, so that the first is an increase", async () => {
  const metrics = open();
  const before = seriesOf(await metrics.text());
  assert.equal(before.get('oomkit_oom_kills_total{scope="cgroup",guarded="false"}'), 0);
  metrics.emit("/a", KILL);
  metrics.emit("/a", { ...KILL, scope: null });
  metrics.emit("/a", { type: "cgroup_created" });
  const after = seriesOf(await metrics.text());
  assert.equal(after.get('oomkit_events_total{type="oom_kill"}'), 2);
  assert.equal(after.get('oomkit_events_total{type="cgroup_created"}'), 1);
  assert.equal(after.get('oomkit_oom_kills_total{scope="cgroup",guarded="false"}'), 1);
  assert.equal(after.get('oomkit_oom_kills_total{scope="unknown",guarded="false"}'), 1);
  assert.deepEqual(metrics.counts(), { pending: 0, sent: 3, dropped: 0, failed: 0 });
});

Deno.test("a kill is counted as guarded where a policy kills for that limit", async () => {
  const metrics = open({ killsFor: ({ cgroup }) => cgroup === "/guarded" });
  for (const cgroup of ["/guarded", "/guarded", "/other"]) metrics.emit(cgroup, KILL);
  const series = seriesOf(await metrics.text());
  const of = (guarded: boolean) =>
    series.get(`oomkit_oom_kills_total{scope="cgroup",guarded="${guarded}"}`);
  assert.deepEqual([of(true), of(false)], [2, 1]);
});

Deno.test("what is lacking is a gauge by mechanism, which is 0 when the cause is gone", async () => {
  let cgroups = 3;
  const metrics = open({ lacking: () => new Map([["hold", cgroups]]) });
  const lacking = async () =>
    seriesOf(await metrics.text()).get('oomkit_degraded{requested="hold"}');
  assert.equal(await lacking(), 3);
  cgroups = 0;
  assert.equal(await lacking(), 0);
});

Deno.test("actions are counted by outcome and level, with freed bytes and latencies", async () => {
  const metrics = open();
  metrics.emit("/a", ACTION);
  metrics.emit("/a", {
    ...ACTION,
    signal_ms: 750,
    outcome: "survived",
    freed: null,
    exit_ms: null,
  });
  metrics.emit("/a", {
    ...actionFields,
    action: "reclaim",
    outcome: "reclaimed",
    freed: 5,
    freed_ms: 4,
  });
  const series = seriesOf(await metrics.text());
  const of = (name: string) => series.get(`oomkit_guard_${name}`);
  assert.equal(of('actions_total{action="process",outcome="killed",level="imminent"}'), 1);
  assert.equal(of('actions_total{action="process",outcome="survived",level="imminent"}'), 1);
  assert.equal(of('actions_total{action="process",outcome="failed",level="imminent"}'), undefined);
  assert.equal(of('actions_total{action="reclaim",outcome="reclaimed",level="imminent"}'), 1);
  assert.equal(of("freed_bytes_total"), 65);
  assert.equal(of('kill_latency_seconds_bucket{action="process",stage="signal",le="0.0001"}'), 0);
  assert.equal(of('kill_latency_seconds_bucket{action="process",stage="signal",le="0.00025"}'), 1);
  assert.equal(of('kill_latency_seconds_bucket{action="process",stage="signal",le="1"}'), 2);
  assert.equal(of('kill_latency_seconds_sum{action="process",stage="signal"}'), 0.75 + 0.0002);
  assert.equal(of('kill_latency_seconds_count{action="process",stage="exit"}'), 1);
  // Measured from the start of the reclaim, not from the read that showed the level reached.
  assert.equal(of('kill_latency_seconds_count{action="reclaim",stage="freed"}'), undefined);
});

Deno.test("a dry run is counted, without latency and freed bytes", async () => {
  const metrics = open();
  metrics.emit("/a", { ...ACTION, dry_run: true, outcome: "dry_run" });
  const series = seriesOf(await metrics.text());
  assert.equal(
    series.get('oomkit_guard_actions_total{action="process",outcome="dry_run",level="imminent"}'),
    1,
  );
  assert.equal(series.get("oomkit_guard_freed_bytes_total"), 0);
  assert.equal(
    series.get('oomkit_guard_kill_latency_seconds_count{action="process",stage="signal"}'),
    undefined,
  );
});

Deno.test("receivers of the same name are one series, which does not fall when one is removed", async () => {
  const counts = (sent: number) => ({ pending: 1, sent, dropped: 2, failed: 3 });
  const droppedByType = () => new Map([["threshold", 2]] as const);
  const one = { name: "webhook", counts: () => counts(100), droppedByType };
  let final = 40;
  const two = { name: "webhook", counts: () => counts(final), droppedByType };
  let now: (typeof one)[] = [one, two];
  const metrics = open({ receivers: () => now });
  const webhook = async (kind: string) =>
    seriesOf(await metrics.text()).get(`oomkit_notifications_${kind}{receiver="webhook"}`);
  assert.deepEqual([await webhook("sent_total"), await webhook("pending")], [140, 2]);
  final = 45;
  now = [one];
  assert.deepEqual([await webhook("sent_total"), await webhook("pending")], [145, 1]);
  now = [one, { name: "webhook", counts: () => counts(1), droppedByType }];
  assert.equal(await webhook("sent_total"), 146);
  const dropped = seriesOf(await metrics.text());
  const droppedOf = (type: string) =>
    dropped.get(`oomkit_notifications_dropped_total{receiver="webhook",type="${type}"}`);
  assert.deepEqual([droppedOf("threshold"), droppedOf("oom_kill")], [6, undefined]);
});

Deno.test("health and the age of the heartbeat have series", async () => {
  let heartbeatAge = 500;
  const metrics = open({
    heartbeatAge: () => heartbeatAge,
    alive: () => heartbeatHealth(heartbeatAge),
    ready: () => ({ ok: false, reason: "not yet" }),
  });
  const series = seriesOf(await metrics.text());
  assert.equal(series.get('oomkit_build_info{version="1.2.3",command="guard"}'), 1);
  assert.deepEqual([series.get("oomkit_healthy"), series.get("oomkit_ready")], [1, 0]);
  assert.equal(series.get("oomkit_guard_heartbeat_age_seconds"), 0.5);
  assert.ok(series.get("process_open_fds")! > 2);
  assert.ok(series.get("process_max_fds")! >= series.get("process_open_fds")!);
  assert.ok(series.get("process_resident_memory_bytes")! > 2 ** 20);
  assert.ok(Math.abs(series.get("process_start_time_seconds")! - Date.now() / 1000) < 86_400);
  heartbeatAge = 17_300;
  assert.equal(seriesOf(await metrics.text()).get("oomkit_healthy"), 0);
  assert.deepEqual(heartbeatHealth(17_300), {
    ok: false,
    reason: "the monitor thread has not responded for 17 s",
  });
});

Deno.test("a watch has no series of a guard", async () => {
  const text = await open({ command: "watch" }).text();
  assert.ok(!text.includes("oomkit_guard"), text);
  assert.ok(text.includes("oomkit_watched_cgroups 0\n"), text);
});

Deno.test("a guard has 6 series of each cgroup on v1 and 8 on v2, 3 of each receiver, and 31 others", async () => {
  const receiver = {
    counts: () => ({ pending: 0, sent: 0, dropped: 0, failed: 0 }),
    droppedByType: () => new Map(),
  };
  const paths = ["/a", "/b", "/c"];
  for (
    const [version, limitFile, ofEach] of [[1, "memory.limit_in_bytes", 6], [
      2,
      "memory.max",
      8,
    ]] as const
  ) {
    using tree = makeTree(
      version,
      Object.fromEntries(paths.map((path) => [path, { [limitFile]: 1000 }])),
    );
    const count = async (cgroups: number, names: readonly string[]) => {
      const metrics = open({
        cgroups: () => monitored(tree, paths.slice(0, cgroups)),
        receivers: () => names.map((name) => ({ name, ...receiver })),
        heartbeatAge: () => 0,
      });
      return seriesOf(await metrics.text()).size;
    };
    assert.equal(await count(0, []), 31);
    assert.equal(await count(3, []), 31 + 3 * ofEach);
    assert.equal(await count(3, ["kubernetes", "webhook"]), 31 + 3 * ofEach + 2 * 3);
  }
});

Deno.test("100,000 short-lived cgroups with kills leave a bounded scrape and exact sums", async () => {
  const metrics = open({ collect: { max: 50 } });
  let size = 0;
  for (let at = 0; at < 100_000; at++) {
    const path = `/churn/${at}`;
    metrics.emit(path, { type: "cgroup_created" });
    metrics.emit(path, KILL);
    metrics.emit(path, { type: "cgroup_removed" });
    if (at === 2000) size = (await metrics.text()).length;
  }
  const text = await metrics.text();
  assert.ok(text.length < size * 1.2, `${text.length} after ${size}`);
  const series = seriesOf(text);
  const kills = [...series].filter(([name]) => name.startsWith("oomkit_cgroup_oom_kills_total"));
  assert.ok(kills.length <= 551, String(kills.length));
  assert.equal(kills.reduce((sum, [, value]) => sum + value, 0), 100_000);
  assert.equal(series.get('oomkit_oom_kills_total{scope="cgroup",guarded="false"}'), 100_000);
  assert.equal(series.get('oomkit_cgroup_oom_kills_total{cgroup="other"}'), 100_000 - 550);
});

Deno.test("counters never fall between two scrapes, whatever cgroups come and go", async () => {
  using tree = makeTree(2, { "/0": {}, "/1": {}, "/2": {} });
  let now = 0;
  let listed = ["/0", "/1", "/2"];
  const metrics = open({
    collect: { max: 3 },
    cgroups: () => monitored(tree, listed),
    now: () => now += 60_000,
  });
  let before = new Map<string, number>();
  for (let round = 0; round < 30; round++) {
    for (let at = 0; at < 100; at++) metrics.emit(`/${(round * 37 + at * 7) % 900}`, KILL);
    metrics.emit("/0", { ...ACTION, exit_ms: round });
    listed = round % 3 === 0 ? ["/0"] : ["/0", "/1", "/2"];
    const series = seriesOf(await metrics.text());
    for (const [name, value] of before) {
      if (!/_(?:total|bucket|sum|count)(?:\{|$)/.test(name)) continue;
      const after = series.get(name);
      assert.ok(after === undefined || after >= value, `${name}: ${value}, ${after}`);
    }
    before = series;
  }
});

Deno.test("every metric has a unique name, and a guard and a watch together have all of them", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 1000 } });
  const names = Object.values(FAMILIES).map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  const receivers = () => [{
    name: "log",
    counts: () => ({ pending: 0, sent: 0, dropped: 0, failed: 0 }),
    droppedByType: () => new Map([["oom", 1]] as const),
  }];
  const seen = new Set<string>();
  for (const command of ["guard", "watch"] as const) {
    const cgroups = () => monitored(tree, ["/a"]);
    const metrics = open({
      command,
      cgroups,
      receivers,
      heartbeatAge: () => 0,
      lacking: () => new Map([["w", 1]]),
    });
    metrics.emit("/a", ACTION);
    const types = (await metrics.text()).matchAll(/^# TYPE (\S+) /gm);
    for (const [, name] of types) seen.add(name!);
  }
  assert.deepEqual([...seen].sort(), names.sort());
});
