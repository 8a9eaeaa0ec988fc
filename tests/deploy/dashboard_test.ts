import assert from "node:assert/strict";
import { FAMILIES } from "../../core/receivers/prometheus/families.ts";
import { checkLabels, DIRECTORY, promtool, promtoolTest } from "./promtool.ts";

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly targets?: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly datasource: { readonly uid: string };
  }[];
}

interface Dashboard {
  readonly uid: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly {
      readonly name: string;
      readonly type: string;
      readonly definition?: string;
    }[];
  };
}

const dashboard: Dashboard = JSON.parse(Deno.readTextFileSync(`${DIRECTORY}grafana/oomkit.json`));
const panels = dashboard.panels.filter(({ type }) => type !== "row");
const exprs = panels.flatMap(({ targets }) => targets!.map(({ expr }) => expr));
const variables = dashboard.templating.list;

/** Names of metrics outside of quotes. */
const metricsIn = (expr: string) =>
  expr.replace(/"[^"]*"/g, "").match(/\b(?:oomkit|process)[_:][\w:]+/g) ?? [];

Deno.test("panels have unique ids, titles and places, and a description", () => {
  const { panels: all } = dashboard;
  assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
  assert.equal(new Set(all.map(({ title }) => title)).size, all.length);
  const taken = new Set<string>();
  for (const { title, gridPos: { x, y, w, h } } of all) {
    assert.ok(x + w <= 24, title);
    for (let at = 0; at < w * h; at++) {
      const cell = `${x + at % w} ${y + Math.floor(at / w)}`;
      assert.ok(!taken.has(cell), `${title} lies on another panel`);
      taken.add(cell);
    }
  }
  for (const { title, description } of panels) assert.ok(description, title);
});

Deno.test("every panel uses the selected data source, and each of its queries has a name", () => {
  assert.deepEqual(variables[0], { ...variables[0], name: "datasource", type: "datasource" });
  for (const { title, datasource, targets } of panels) {
    assert.equal(datasource?.uid, "${datasource}", title);
    assert.ok(targets!.length > 0, title);
    assert.equal(new Set(targets!.map(({ refId }) => refId)).size, targets!.length, title);
    for (const target of targets!) assert.equal(target.datasource.uid, "${datasource}", title);
  }
});

Deno.test("only exported metrics are queried, and each of them is shown", () => {
  const families = Object.values(FAMILIES);
  const known = new Set<string>(
    families.flatMap(({ name, type }) => type === "histogram" ? [`${name}_bucket`] : [name]),
  );
  const queried = new Set(exprs.flatMap(metricsIn));
  for (const definition of variables.flatMap(({ definition }) => definition ?? [])) {
    for (const name of metricsIn(definition)) queried.add(name);
  }
  for (const name of queried) assert.ok(known.has(name), name);
  const unshown = [...known].filter((name) => !queried.has(name));
  assert.deepEqual(unshown, ["process_start_time_seconds", "oomkit_collect_timestamp_seconds"]);
});

Deno.test("each variable in a query is defined by the dashboard or by Grafana", () => {
  const own = ["__range", "__rate_interval", ...variables.map(({ name }) => name)];
  for (const expr of exprs) {
    for (const [, name] of expr.matchAll(/\$\{?(\w+)/g)) assert.ok(own.includes(name!), expr);
  }
});

promtoolTest("Prometheus parses every query of the dashboard", async () => {
  const file = Deno.makeTempFileSync({ prefix: "oomkit-test-", suffix: ".yml" });
  const rules = exprs.map((expr, at) => ({
    record: `panel:${at}`,
    expr: expr.replaceAll("$__rate_interval", "5m").replaceAll("$__range", "6h"),
  }));
  try {
    Deno.writeTextFileSync(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
    const output = await promtool(["check", "rules", file]);
    assert.ok(output.includes(`${exprs.length} rules found`), output);
  } finally {
    Deno.removeSync(file);
  }
});

Deno.test("queries only use labels and values that are exported", () => checkLabels(exprs));

Deno.test("the fleet is shown by aggregates, and everything else is of one node", () => {
  for (const expr of exprs) {
    const isOfNode = expr.includes('instance="$instance"');
    const isAggregate = /\b(?:sum|count|min)\b/.test(expr);
    assert.ok(isOfNode || isAggregate, expr);
  }
  for (const { name, includeAll, multi, current } of variables as unknown as Variable[]) {
    if (name === "instance") assert.deepEqual([includeAll, multi], [false, false]);
    // Not all cgroups of a node.
    if (name === "cgroup") assert.deepEqual(current, {});
  }
});

interface Variable {
  readonly name: string;
  readonly includeAll: boolean;
  readonly multi: boolean;
  readonly current: unknown;
}
