import assert from "node:assert/strict";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { FAMILIES } from "../../core/receivers/prometheus/families.ts";
import { Metrics } from "../../core/receivers/prometheus/metrics.ts";
import { type Body, makeEvent } from "../../core/events/event.ts";
import { makeTree } from "../helpers/trees.ts";
import { checkLabels, DIRECTORY, promtool, promtoolTest } from "./promtool.ts";

const RULES = `${DIRECTORY}prometheus/oomkit.rules.yml`;
const RULE_TESTS = `${DIRECTORY}prometheus/oomkit.rules.test.yml`;

/** A scrape with all kinds of series, of cgroups with hostile names. */
async function scrape(command: "guard" | "watch"): Promise<string> {
  const names = ['/a"} 1\nevil{x="', "/back\\slash\\", "/new\nline", "/ünï 🧨", "/# HELP x"];
  const stall = "avg10=0.00 avg60=0.00 avg300=0.00 total=1500001\n";
  const files = {
    "memory.current": 400,
    "memory.max": 1000,
    "memory.pressure": `some ${stall}full ${stall}`,
  };
  using tree = makeTree(2, Object.fromEntries(names.map((name) => [name, files])));
  const metrics = new Metrics({
    command,
    version: "1.2.3",
    cgroups: () =>
      names.map((name) => ({
        cgroup: openCgroup(discover(tree.dir), name)!,
        ...(command === "guard" ? { mode: "notify", threshold: 900 } : {}),
      })),
    receivers: () => [{
      name: 'web"hook',
      counts: () => ({ pending: 1, sent: 2, dropped: 3, failed: 4 }),
      droppedByType: () => new Map([["threshold", 3]] as const),
    }],
    alive: () => ({ ok: true }),
    ready: () => ({ ok: true }),
    lacking: () => new Map([['exec:"x"\n', 1]]),
    ...(command === "guard" ? { heartbeatAge: () => 12.5 } : {}),
  });
  const bodies: Body[] = [
    {
      type: "oom_kill",
      victim: null,
      limit_owner: null,
      limit: null,
      scope: null,
      inferred: false,
    },
  ];
  for (const body of bodies) metrics.report(makeEvent(0, names[0]!, "none", body));
  return await metrics.text();
}

for (const command of ["guard", "watch"] as const) {
  promtoolTest(`promtool accepts the metrics of ${command} without a warning`, async () => {
    const text = await scrape(command);
    assert.equal(await promtool(["check", "metrics"], text), "");
    assert.equal(text.match(/^oomkit_cgroup_memory_usage_bytes\{/gm)?.length, 5);
  });
}

promtoolTest("the rules pass promtool's lint", async () => {
  await promtool(["check", "rules", "--lint=all", "--lint-fatal", RULES]);
});

promtoolTest("each alert fires when it should, and not before", async () => {
  await promtool(["test", "rules", RULE_TESTS]);
});

promtoolTest("the example configuration is valid, and so are the rules that it names", async () => {
  await promtool(["check", "config", `${DIRECTORY}prometheus/prometheus.yml`]);
});

Deno.test("each alert has a test in which it fires, a severity, a summary and a description", () => {
  const rules = Deno.readTextFileSync(RULES);
  const tests = Deno.readTextFileSync(RULE_TESTS);
  const alerts = rules.split(/^ +- (?=alert:)/m).slice(1);
  assert.ok(alerts.length >= 10);
  for (const alert of alerts) {
    const [, name] = /^alert: (\w+)$/m.exec(alert)!;
    assert.match(alert, /severity: (critical|warning|info)\n/, name);
    assert.match(alert, /summary: .+\n +description: .+/, name);
    const fires = new RegExp(`alertname: ${name}\n +eval_time: \\w+\n +exp_alerts:\n`);
    assert.match(tests, fires, name);
  }
});

Deno.test("each alert has the address of its section in docs/alerts.md, and each section an alert", () => {
  const sections = [
    ...Deno.readTextFileSync(`${DIRECTORY}../docs/alerts.md`)
      .matchAll(/^## (\w+)$/gm),
  ].map(([, name]) => name!);
  const alerts = Deno.readTextFileSync(RULES).split(/^ +- (?=alert:)/m).slice(1);
  assert.deepEqual(
    alerts.map((alert) => /^alert: (\w+)$/m.exec(alert)![1]).sort(),
    sections.sort(),
  );
  for (const alert of alerts) {
    const [, name] = /^alert: (\w+)$/m.exec(alert)!;
    const [, anchor] = /runbook_url: https:\S+\/docs\/alerts\.md#(\w+)\n/.exec(alert)!;
    assert.equal(anchor, name!.toLowerCase());
  }
});

Deno.test("the rules only use metrics that are exported or recorded", () => {
  const rules = Deno.readTextFileSync(RULES);
  const known = new Set<string>(Object.values(FAMILIES).map(({ name }) => name));
  const recorded = new Set([...rules.matchAll(/record: (\S+)/g)].map(([, name]) => name));
  for (const [name] of rules.matchAll(/\b(?:oomkit|process)_\w+/g)) {
    assert.ok(known.has(name.replace(/_bucket$/, "")), name);
  }
  for (const [name] of rules.matchAll(/\boomkit:[\w:]+/g)) assert.ok(recorded.has(name), name);
});

Deno.test("the rules only use labels and values that are exported", async () => {
  const rules = Deno.readTextFileSync(RULES);
  const queries = rules.split(/^ +- (?=alert:|record:)/m).slice(1)
    .map((rule) =>
      /^ +expr: ((?:.|\n)*?)(?=\n +(?:for|labels|annotations|#|-)|\n\n|$)/m.exec(rule)![1]!
    );
  assert.ok(queries.length >= 15);
  await checkLabels(queries);
});
