import assert from "node:assert/strict";
import { FAMILIES } from "../../core/receivers/prometheus/families.ts";
import { FOLDER, promtool, promtoolTest } from "./promtool.ts";

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

const dashboard: Dashboard = JSON.parse(Deno.readTextFileSync(`${FOLDER}grafana/oomkit.json`));
const panels = dashboard.panels.filter(({ type }) => type !== "row");
const exprs = panels.flatMap(({ targets }) => targets!.map(({ expr }) => expr));
const variables = dashboard.templating.list;

/** Names of metrics, without what stands in quotes. */
const metricsIn = (expr: string) =>
  expr.replace(/"[^"]*"/g, "").match(/\b(?:oomkit|process)[_:][\w:]+/g) ?? [];

Deno.test("panels have ids, titles and places of their own, and say what they show", () => {
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

Deno.test("every panel asks the data source that is chosen, and each of its questions has a name", () => {
  assert.deepEqual(variables[0], { ...variables[0], name: "datasource", type: "datasource" });
  for (const { title, datasource, targets } of panels) {
    assert.equal(datasource?.uid, "${datasource}", title);
    assert.ok(targets!.length > 0, title);
    assert.equal(new Set(targets!.map(({ refId }) => refId)).size, targets!.length, title);
    for (const target of targets!) assert.equal(target.datasource.uid, "${datasource}", title);
  }
});

Deno.test("only metrics that are exported are asked for, and each of them is shown somewhere", () => {
  const families = Object.values(FAMILIES);
  const known = new Set<string>(
    families.flatMap(({ name, type }) => type === "histogram" ? [`${name}_bucket`] : [name]),
  );
  const asked = new Set(exprs.flatMap(metricsIn));
  for (const definition of variables.flatMap(({ definition }) => definition ?? [])) {
    for (const name of metricsIn(definition)) asked.add(name);
  }
  for (const name of asked) assert.ok(known.has(name), name);
  const unshown = [...known].filter((name) => !asked.has(name));
  assert.deepEqual(unshown, ["process_start_time_seconds", "oomkit_collect_timestamp_seconds"]);
});

Deno.test("each variable in a question is one of the dashboard's or of Grafana's own", () => {
  const own = ["__range", "__rate_interval", ...variables.map(({ name }) => name)];
  for (const expr of exprs) {
    for (const [, name] of expr.matchAll(/\$\{?(\w+)/g)) assert.ok(own.includes(name!), expr);
  }
});

promtoolTest("Prometheus understands every question of the dashboard", async () => {
  const file = Deno.makeTempFileSync({ prefix: "oomkit-test-", suffix: ".yml" });
  const rules = exprs.map((expr, at) => ({
    record: `panel:${at}`,
    expr: expr.replaceAll("$__rate_interval", "5m").replaceAll("$__range", "6h"),
  }));
  try {
    Deno.writeTextFileSync(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
    const said = await promtool(["check", "rules", file]);
    assert.ok(said.includes(`${exprs.length} rules found`), said);
  } finally {
    Deno.removeSync(file);
  }
});
