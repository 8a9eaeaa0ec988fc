/** The page comes to life: charts in the place of the still picture, and the tables follow what is switched on. */

import { makeChart } from "./charts.js";
import { byKey, followGestures, within, zoomed } from "./gestures.js";
import { fillTip, placeTip } from "./hover.js";
import { placeOf } from "./thin.js";
import { unpack } from "./unpack.js";
/** @typedef {import("./gestures.js").View} View */

/** How near an event must be to be told of (CSS pixels). */
const NEAR = 6;

/** @param {string} id */
const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const run = unpack(find("run").textContent ?? "");
/** @type {View} */
const whole = { from: run.from, to: run.to };
/** @type {View} */
let view = whole;
const switches =
  /** @type {HTMLInputElement[]} */ ([...document.querySelectorAll("input[data-group]")]);
const on = new Set(run.groups.flatMap((group, place) => group.shown ? [place] : []));
const tip = find("tip");

const memory = find("memory");
const pressure = find("pressure");
const hasPressure = run.groups.some(({ some, full }) => some.t.length + full.t.length > 0);
/** @type {ReturnType<typeof makeChart>[]} */
let charts = [];
let isByShare = run.share;
let events = run.events;
/** @type {Float64Array} */
let times = new Float64Array();

function shownGroups() {
  return run.groups.filter((_, place) => on.has(place));
}

let waiting = false;
/** @param {View} next */
function go(next) {
  view = within(next, whole);
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    for (const chart of charts) chart.look(view);
    document.body.dataset.view = `${view.from} ${view.to}`;
  });
}

/** @param {any} plot */
function point(plot) {
  const { left, top } = plot.cursor;
  // The other chart's pointer is this one's by uPlot's own doing.
  if (!plot.over.matches(":hover")) return;
  if (left === undefined || left < 0) return void (tip.hidden = true);
  const at = Math.min(whole.to, Math.max(whole.from, plot.posToVal(left, "x")));
  const reach = (view.to - view.from) * NEAR / Math.max(1, plot.over.clientWidth);
  const near = events.slice(placeOf(times, at - reach), placeOf(times, at + reach));
  fillTip(tip, run.from, at, shownGroups(), near);
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
    setCursor: [point],
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
  const groups = shownGroups();
  events = run.events.filter(({ group }) => group === null || on.has(group));
  times = Float64Array.from(events, ({ at }) => at);
  charts = [makeChart(memory, isByShare ? "share" : "bytes", groups, events, whole, behaviour)];
  if (hasPressure) charts.push(makeChart(pressure, "pressure", groups, events, whole, behaviour));
  for (const { plot } of charts) {
    followGestures(plot.over, () => view, go);
    plot.over.addEventListener("mouseleave", () => tip.hidden = true);
  }
  go(view);
}

/** Rows of cgroups that are switched off say nothing about what is seen. */
function followSwitches() {
  for (const each of switches) each.checked = on.has(Number(each.dataset.group));
  for (const row of /** @type {HTMLElement[]} */ ([...document.querySelectorAll("tr[data-of]")])) {
    row.hidden = row.dataset.of !== "" && !on.has(Number(row.dataset.of));
  }
  build();
}

for (const each of switches) {
  each.addEventListener("change", () => {
    const place = Number(each.dataset.group);
    if (each.checked) on.add(place);
    else on.delete(place);
    followSwitches();
  });
}

for (
  const button of /** @type {HTMLElement[]} */ ([...document.querySelectorAll("button[data-do]")])
) {
  button.addEventListener("click", () => {
    const what = button.dataset.do;
    if (what === "in") go(zoomed(view, 0.5));
    else if (what === "out") go(zoomed(view, 2));
    else if (what === "whole") go(whole);
    else if (what === "share") {
      isByShare = !isByShare;
      tellShare();
      build();
    } else {
      for (const each of switches) {
        if (each.closest("tr")?.hidden) continue;
        const place = Number(each.dataset.group);
        if (what === "all") on.add(place);
        else on.delete(place);
      }
      followSwitches();
    }
  });
}

const filter = /** @type {HTMLInputElement | null} */ (document.getElementById("filter"));
filter?.addEventListener("input", () => {
  const wanted = filter.value.trim().toLowerCase();
  for (const each of switches) {
    const row = each.closest("tr");
    const path = each.closest("label")?.title.toLowerCase() ?? "";
    if (row) row.hidden = !path.includes(wanted);
  }
});

// A moment of the table, with a little of what was before and after.
for (const row of /** @type {HTMLElement[]} */ ([...document.querySelectorAll("tr[data-at]")])) {
  row.querySelector("button")?.addEventListener("click", () => {
    const at = Number(row.dataset.at);
    const span = Math.min(view.to - view.from, (whole.to - whole.from) / 10);
    go({ from: at - span / 2, to: at + span / 2 });
    find("charts").scrollIntoView({ block: "nearest" });
  });
}

find("charts").addEventListener("keydown", (event) => {
  const next = event.ctrlKey || event.metaKey || event.altKey
    ? undefined
    : byKey(event.key, view, whole);
  if (next === undefined) return;
  event.preventDefault();
  go(next);
});

function tellShare() {
  const button = document.querySelector("button[data-do=share]");
  button?.setAttribute("aria-pressed", String(isByShare));
}

document.body.classList.add("live");
tellShare();
build();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", build);
let width = memory.clientWidth;
new ResizeObserver(() => {
  if (memory.clientWidth === width || memory.clientWidth === 0) return;
  width = memory.clientWidth;
  build();
}).observe(memory);
