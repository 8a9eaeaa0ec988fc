import assert from "node:assert/strict";
import { DataPointType, type MetricData } from "@opentelemetry/sdk-metrics";
import { openCgroup } from "../../../../core/cgroup/cgroup.ts";
import { discover } from "../../../../core/cgroup/hierarchy.ts";
import { type Body, makeEvent } from "../../../../core/events/event.ts";
import { metricDataOf } from "../../../../core/receivers/otlp/metric_data.ts";
import { Metrics } from "../../../../core/receivers/prometheus/metrics.ts";
import { labels, renderText } from "../../../../core/receivers/prometheus/text.ts";
import { killBody } from "../../../helpers/guard_events.ts";
import { makeTree } from "../../../helpers/trees.ts";

const PERIOD = { start: 1_700_000_000_000, end: 1_700_000_060_250.5 };
const POD = "/kubepods/pod0f2f8c2e-1111-2222-3333-444455556666";

/** The lines of a scrape without comments, out of what is exported. */
function linesOf(data: readonly MetricData[]): string[] {
  return data.flatMap(({ descriptor: { name }, dataPoints, dataPointType }) =>
    dataPoints.flatMap(({ attributes, value }) => {
      const text = labels(attributes as Record<string, string>);
      if (dataPointType !== DataPointType.HISTOGRAM) return line(name, text, value as number);
      const { buckets, sum, count } = value as {
        readonly buckets: { readonly boundaries: number[]; readonly counts: number[] };
        readonly sum: number;
        readonly count: number;
      };
      let below = 0;
      const bounds = [...buckets.boundaries, "+Inf"].map((bound, at) =>
        line(`${name}_bucket`, `${text},le="${bound}"`, below += buckets.counts[at]!)
      );
      return [...bounds, line(`${name}_sum`, text, sum), line(`${name}_count`, text, count)];
    })
  );
}

const line = (name: string, labels: string, value: number) =>
  `${name}${labels && `{${labels}}`} ${value}`;

/** They differ from one read to the next. */
const OF_THE_PROCESS = /^process_|^oomkit_collect_/;

Deno.test("an export has the series and the values of a scrape", async () => {
  using tree = makeTree(2, {
    "/kubepods": {},
    [POD]: {
      "memory.current": 400,
      "memory.max": 1000,
      "memory.stat": "inactive_file 100\n",
      "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n" +
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n",
    },
    '/a "quoted" \\name': { "memory.current": 7 },
  });
  const hierarchy = discover(tree.dir);
  const webhook = {
    name: "webhook",
    counts: () => ({ pending: 1, sent: 2, dropped: 3, failed: 4 }),
    droppedByType: () => new Map([["oom" as const, 3]]),
  };
  const metrics = new Metrics({
    command: "guard",
    version: "1.2.3",
    cgroups: () =>
      [POD, '/a "quoted" \\name'].map((path) => ({
        cgroup: openCgroup(hierarchy, path)!,
        mode: "notify" as const,
        imminent: 90,
      })),
    receivers: () => [webhook],
    placeOf: () => ({ namespace: "shop", pod: "cart-1", container: "app", node: "n1" }),
    alive: () => ({ ok: true }),
    ready: () => ({ ok: false, reason: "it is starting" }),
    lacking: () => new Map([["pressure", 2]]),
    heartbeatAge: () => 1500,
    now: () => 0,
  });
  const kill: Body = {
    type: "oom_kill",
    victim: null,
    limit_owner: null,
    limit: null,
    scope: "cgroup",
    inferred: false,
  };
  for (const body of [kill, killBody({ freed: 60, signal_ms: 0.2, exit_ms: 3, freed_ms: 4 })]) {
    metrics.report(makeEvent(0, POD, "none", body));
  }
  const scraped = (await metrics.text()).trim().split("\n").filter((each) => each[0] !== "#");
  const exported = linesOf(metricDataOf(await metrics.families(), PERIOD));
  const comparable = (lines: string[]) => lines.filter((each) => !OF_THE_PROCESS.test(each));
  assert.deepEqual(comparable(exported), comparable(scraped));
  const names = (lines: string[]) => lines.map((each) => each.split(" ")[0]);
  assert.deepEqual(names(exported), names(scraped));
  assert.ok(scraped.some((each) => each.includes("kill_latency_seconds_bucket")));
});

Deno.test("counters are monotonic sums since the start, with the units of their names", () => {
  const family = { help: "It counts.", samples: [{ labels: 'a="1"', value: 2n }] };
  const [counter, gauge] = metricDataOf([
    { ...family, name: "oomkit_freed_bytes_total", type: "counter" },
    { ...family, name: "oomkit_age_seconds", type: "gauge" },
  ], PERIOD);
  assert.deepEqual(counter!.dataPoints, [{
    startTime: [1_700_000_000, 0],
    endTime: [1_700_000_060, 250_500_000],
    attributes: { a: "1" },
    value: 2,
  }]);
  assert.ok(counter!.dataPointType === DataPointType.SUM && counter!.isMonotonic);
  assert.equal(counter!.descriptor.unit, "By");
  assert.equal(counter!.descriptor.description, "It counts.");
  assert.equal(gauge!.dataPointType, DataPointType.GAUGE);
  assert.equal(gauge!.descriptor.unit, "s");
});

Deno.test("what is unknown or infinite is not exported", () => {
  const samples = [undefined, NaN, Infinity].map((value, at) => ({ labels: `a="${at}"`, value }));
  const family = { name: "oomkit_a", type: "gauge", help: "", samples } as const;
  assert.deepEqual(metricDataOf([family], PERIOD), []);
  assert.match(renderText([family]), /\+Inf/);
});
