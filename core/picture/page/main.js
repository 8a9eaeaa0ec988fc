/** The script of the page: charts replace the still picture, and the tables follow the selected cgroups. */

import { makeChart } from "./charts.js";
import { byKey, followGestures, within, zoomed } from "./gestures.js";
import { byId, elementsOf, fillTip, placeTip } from "./hover.js";
import { indexAt } from "./thin.js";
/** @import { Group, Line, RunEvent, View } from "./content.js" */

/**
 * Its memory is first shown as a `share` of each limit or not, and the `shown` groups are selected at first.
 * @typedef {View & { share: boolean, groups: (Group & { shown: boolean })[], events: RunEvent[] }} Run
 */

/** The tooltip shows events within this distance (CSS pixels). */
const MAX_PX_TO_EVENT = 6;

const run = unpack(byId("run").textContent ?? "");
/** @type {View} */
const whole = { from: run.from, to: run.to };
/** @type {View} */
let view = whole;
const checkboxes = /** @type {HTMLInputElement[]} */ (elementsOf("input[data-group]"));
const selected = new Set(run.groups.flatMap((group, index) => group.shown ? [index] : []));
const tip = byId("tip");

const memory = byId("memory");
const pressure = byId("pressure");
const hasPressure = run.groups.some(({ some, full }) => some.t.length + full.t.length > 0);
/** @type {ReturnType<typeof makeChart>[]} */
let charts = [];
let isByShare = run.share;
let events = run.events;
/** @type {Float64Array} */
let times = new Float64Array();

function selectedGroups() {
  return run.groups.filter((_, index) => selected.has(index));
}

let isFrameRequested = false;
/** @param {View} next */
function go(next) {
  view = within(next, whole);
  if (isFrameRequested) return;
  isFrameRequested = true;
  requestAnimationFrame(() => {
    isFrameRequested = false;
    for (const chart of charts) chart.show(view);
    document.body.dataset.view = `${view.from} ${view.to}`;
  });
}

/** @param {any} plot */
function showTip(plot) {
  const { left, top } = plot.cursor;
  // uPlot moves the cursors of both charts together.
  if (!plot.over.matches(":hover")) return;
  if (left === undefined || left < 0) return void (tip.hidden = true);
  const at = Math.min(whole.to, Math.max(whole.from, plot.posToVal(left, "x")));
  const reach = (view.to - view.from) * MAX_PX_TO_EVENT / Math.max(1, plot.over.clientWidth);
  const near = events.slice(indexAt(times, at - reach), indexAt(times, at + reach));
  fillTip(tip, run.from, at, selectedGroups(), near);
  const { left: x, top: y } = plot.over.getBoundingClientRect();
  placeTip(tip, x + left, y + top);
}

const behaviour = {
  cursor: {
    y: false,
    points: { show: false },
    drag: { x: true, y: false, setScale: false },
    sync: { key: "run" },
    bind: {
      dblclick: () => () => {
        go(whole);
        return null;
      },
    },
  },
  hooks: {
    setCursor: [showTip],
    setSelect: [(/** @type {any} */ plot) => {
      const { left, width } = plot.select;
      if (width > 3) {
        go({ from: plot.posToVal(left, "x"), to: plot.posToVal(left + width, "x") });
      }
      if (width > 0) plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    }],
  },
};

function build() {
  for (const chart of charts) chart.destroy();
  const groups = selectedGroups();
  events = run.events.filter(({ group }) => group === null || selected.has(group));
  times = Float64Array.from(events, ({ at }) => at);
  charts = [makeChart(memory, isByShare ? "share" : "bytes", groups, events, whole, behaviour)];
  if (hasPressure) charts.push(makeChart(pressure, "pressure", groups, events, whole, behaviour));
  for (const { plot } of charts) {
    followGestures(plot.over, () => view, go);
    plot.over.addEventListener("mouseleave", () => tip.hidden = true);
  }
  go(view);
}

/** Hides the table rows of cgroups that are not selected. */
function applySelection() {
  for (const each of checkboxes) each.checked = selected.has(Number(each.dataset.group));
  for (const row of elementsOf("tr[data-of]")) {
    row.hidden = row.dataset.of !== "" && !selected.has(Number(row.dataset.of));
  }
  build();
}

for (const each of checkboxes) {
  each.addEventListener("change", () => {
    const index = Number(each.dataset.group);
    if (each.checked) selected.add(index);
    else selected.delete(index);
    applySelection();
  });
}

for (const button of elementsOf("button[data-do]")) {
  button.addEventListener("click", () => {
    const what = button.dataset.do;
    if (what === "in") go(zoomed(view, 0.5));
    else if (what === "out") go(zoomed(view, 2));
    else if (what === "whole") go(whole);
    else if (what === "share") {
      isByShare = !isByShare;
      showShareState();
      build();
    } else {
      for (const each of checkboxes) {
        if (each.closest("tr")?.hidden) continue;
        const index = Number(each.dataset.group);
        if (what === "all") selected.add(index);
        else selected.delete(index);
      }
      applySelection();
    }
  });
}

const filter = /** @type {HTMLInputElement | null} */ (document.getElementById("filter"));
filter?.addEventListener("input", () => {
  const wanted = filter.value.trim().toLowerCase();
  for (const each of checkboxes) {
    const row = each.closest("tr");
    const path = each.closest("label")?.title.toLowerCase() ?? "";
    if (row) row.hidden = !path.includes(wanted);
  }
});

// Shows the time of an event with some context.
for (const row of elementsOf("tr[data-at]")) {
  row.querySelector("button")?.addEventListener("click", () => {
    const at = Number(row.dataset.at);
    const span = Math.min(view.to - view.from, (whole.to - whole.from) / 10);
    go({ from: at - span / 2, to: at + span / 2 });
    byId("charts").scrollIntoView({ block: "nearest" });
  });
}

byId("charts").addEventListener("keydown", (event) => {
  const next = event.ctrlKey || event.metaKey || event.altKey
    ? undefined
    : byKey(event.key, view, whole);
  if (next === undefined) return;
  event.preventDefault();
  go(next);
});

function showShareState() {
  const button = document.querySelector("button[data-do=share]");
  button?.setAttribute("aria-pressed", String(isByShare));
}

document.body.classList.add("live");
showShareState();
build();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", build);
let width = memory.clientWidth;
new ResizeObserver(() => {
  if (memory.clientWidth === width || memory.clientWidth === 0) return;
  width = memory.clientWidth;
  build();
}).observe(memory);

/** Decodes the data that page.ts has encoded. @type {(text: string) => Run} */
function unpack(text) {
  const { from, groups, events, ...rest } = JSON.parse(text);
  return {
    ...rest,
    from,
    groups: groups.map((/** @type {any} */ group, /** @type {number} */ index) => ({
      ...group,
      usage: lineOf(group.usage, from, 1),
      working: lineOf(group.working, from, 1),
      some: lineOf(group.some, from, 100),
      full: lineOf(group.full, from, 100),
      limits: lineOf(group.limits, from, 1),
      colour: `g${index % 8}`,
    })),
    events: events.map((/** @type {any} */ [at, group, kind, text]) => ({
      at: from + at,
      group,
      kind,
      text,
    })),
  };
}

/**
 * Sums the differences between neighbours.
 * @type {(packed: { t: number[], v: number[] }, from: number, scale: number) => Line}
 */
function lineOf(packed, from, scale) {
  const summed = (/** @type {number[]} */ differences) => {
    let sum = 0;
    return Float64Array.from(differences, (difference) => sum += difference);
  };
  return {
    t: summed(packed.t).map((at) => from + at / 1000),
    v: summed(packed.v).map((value) => value / scale),
  };
}
