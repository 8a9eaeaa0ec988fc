/** The page in a browser. */

import assert from "node:assert/strict";
import { runPage } from "../../../core/picture/page.ts";
import { treePage } from "../../../core/picture/tree.ts";
import {
  browserTest,
  drag,
  inkIn,
  mouse,
  open,
  pictureOf,
  plot,
  settled,
  viewOf,
} from "../../helpers/page_cases.ts";
import {
  cgroupLine,
  crowdedRun,
  endLine,
  head,
  killedRun,
  MIB,
  snapshot,
  START,
} from "../../helpers/recorded_run.ts";

browserTest("the charts are drawn below the verdict", async (page, directory) => {
  await open(page, directory, killedRun(600));
  assert.match(await page.evaluate("document.querySelector('h1').textContent"), /killed java/);
  assert.ok(await page.evaluate(inkIn("#memory")) > 50);
  assert.ok(await page.evaluate(inkIn("#pressure")) > 5);
  assert.equal(
    await page.evaluate("getComputedStyle(document.querySelector('figure')).display"),
    "none",
  );
  assert.equal(await page.evaluate("document.querySelectorAll('#events tbody tr').length"), 5);
});

browserTest(
  "the tooltip has the values and events at the pointer",
  async (page, directory) => {
    await open(page, directory, killedRun(600));
    const { left, top, width } = await page.evaluate(plot);
    await mouse(page, "mouseMoved", left + width / 2, top + 100);
    await settled(page);
    const tip = () => page.evaluate("document.getElementById('tip').innerText");
    assert.match(await tip(), /^04:57:32\.\d+ {2}\+1m 30s/);
    assert.match(await tip(), /payments-api\s+\d+\.\d MiB, \d+\.\d % of 512\.0 MiB/);
    await mouse(page, "mouseMoved", left + width * 0.9955, top + 100);
    await settled(page);
    assert.match(await tip(), /pid 4242 \(java\) killed/);
    await mouse(page, "mouseMoved", 5, 5);
    await settled(page);
    assert.equal(await page.evaluate("document.getElementById('tip').hidden"), true);
  },
);

browserTest(
  "the tooltip names usage without a limit, and says that a cgroup is removed",
  async (page, directory) => {
    await open(page, directory, [
      head,
      cgroupLine(1, { path: "/unlimited", limit: null }),
      cgroupLine(2, { path: "/job" }),
      snapshot(START, 1, 4 * MIB),
      snapshot(START, 2, 256 * MIB),
      { type: "gone", at: START + 400, id: 2 },
      endLine(START + 1000),
    ]);
    const { left, top, width } = await page.evaluate(plot);
    const tipAt = async (share: number) => {
      await mouse(page, "mouseMoved", left + width * share, top + 100);
      await settled(page);
      return (await page.evaluate("document.getElementById('tip').innerText")).split(/\s*\n\s*/);
    };
    assert.deepEqual((await tipAt(0.3)).slice(1), [
      ...["job", "256.0 MiB, 50.0 % of 512.0 MiB"],
      ...["unlimited", "4.0 MiB"],
    ]);
    assert.deepEqual((await tipAt(0.8)).slice(1), ["job", "removed", "unlimited", "4.0 MiB"]);
  },
);

browserTest(
  "mouse, wheel, keys and buttons zoom, pan and reset",
  async (page, directory) => {
    await open(page, directory, killedRun(600));
    const whole = await viewOf(page);
    assert.deepEqual(whole, [START, START + 180_000]);
    const { left, top, width } = await page.evaluate(plot);
    const near = (a: number, b: number) =>
      assert.ok(Math.abs(a - b) < 1500, `${a - START}, ${b - START}`);

    await drag(page, left + width / 4, left + width / 2, top + 80);
    const [from, to] = await viewOf(page) as [number, number];
    near(from, START + 45_000);
    near(to, START + 90_000);

    await drag(page, left + width / 2, left + width / 4, top + 80, 8);
    near((await viewOf(page))[0]!, from + 11_250);

    await mouse(page, "mouseWheel", left + 10, top + 80, { deltaX: 0, deltaY: -100, modifiers: 2 });
    await settled(page);
    const [a, b] = await viewOf(page) as [number, number];
    assert.ok(b - a < to - from, "the wheel with Ctrl zooms in");

    await page.evaluate("document.querySelector('#charts').focus()");
    await page.send("Input.dispatchKeyEvent", {
      type: "keyDown",
      key: "ArrowRight",
      code: "ArrowRight",
    });
    await settled(page);
    assert.ok((await viewOf(page))[0]! > a, "an arrow pans");

    await page.evaluate("document.querySelector('button[data-do=whole]').click()");
    await settled(page);
    assert.deepEqual(await viewOf(page), whole);

    await page.evaluate("document.querySelector('button[data-do=in]').click()");
    await page.evaluate("document.querySelector('#events button').click()");
    await settled(page);
    const [begin, end] = await viewOf(page) as [number, number];
    near((begin + end) / 2, START + 0.68 * 180_000);

    await page.evaluate(
      "document.querySelector('#memory .u-over').dispatchEvent(new MouseEvent('dblclick', { bubbles: true }))",
    );
    await settled(page);
    assert.deepEqual(await viewOf(page), whole);
  },
);

browserTest(
  "cgroups are selected and deselected together with their events",
  async (page, directory) => {
    await open(page, directory, crowdedRun(9, 100));
    const checked = "document.querySelectorAll('input[data-group]:checked').length";
    const rows =
      "[...document.querySelectorAll('#events tbody tr')].filter((row) => !row.hidden).length";
    assert.equal(await page.evaluate(checked), 6);
    assert.equal(await page.evaluate(rows), 2);
    const before = await page.evaluate(inkIn("#memory"));
    await page.evaluate("document.querySelector('button[data-do=none]').click()");
    await settled(page);
    assert.deepEqual([await page.evaluate(checked), await page.evaluate(rows)], [0, 0]);
    assert.ok(await page.evaluate(inkIn("#memory")) < before / 2, "nothing is drawn");
    await page.evaluate("document.querySelector('input[data-group=\"0\"]').click()");
    await settled(page);
    assert.deepEqual([await page.evaluate(checked), await page.evaluate(rows)], [1, 1]);
    await page.evaluate("document.querySelector('button[data-do=all]').click()");
    assert.equal(await page.evaluate(checked), 9);
    await page.evaluate("document.querySelector('input[data-group=\"0\"]').click()");
    assert.deepEqual([await page.evaluate(checked), await page.evaluate(rows)], [8, 1]);
    await page.evaluate(
      "filter.value = 'WORKER'; filter.dispatchEvent(new Event('input')); document.querySelector('button[data-do=none]').click()",
    );
    assert.equal(await page.evaluate(checked), 6, "of nine cgroups two workers are left out");
    await page.evaluate("document.querySelector('button[data-do=share]').click()");
    await settled(page);
    assert.ok(await page.evaluate(inkIn("#memory")) > before / 2);
  },
);

browserTest("the page is dark on a dark screen, and white on paper", async (page, directory) => {
  const background = "getComputedStyle(document.documentElement).backgroundColor";
  const media = (scheme: string, type = "screen") =>
    page.send("Emulation.setEmulatedMedia", {
      media: type,
      features: [{ name: "prefers-color-scheme", value: scheme }],
    });
  await media("dark");
  await open(page, directory, killedRun(200));
  assert.equal(await page.evaluate(background), "rgb(16, 20, 24)");
  assert.ok(await page.evaluate(inkIn("#memory")) > 50);
  await media("light");
  assert.equal(await page.evaluate(background), "rgb(255, 255, 255)");
  await media("dark", "print");
  assert.equal(await page.evaluate(background), "rgb(255, 255, 255)");
  const shown = (what: string) =>
    page.evaluate(`getComputedStyle(document.querySelector("${what}")).display !== "none"`);
  assert.deepEqual([await shown("figure"), await shown("#memory")], [true, false]);
  const { data } = await page.send("Page.printToPDF", {});
  assert.ok(atob(data).startsWith("%PDF"));
});

browserTest(
  "without a script the page has the still picture and the tables",
  async (page, directory) => {
    await page.send("Emulation.setScriptExecutionDisabled", { value: true });
    const path = `${directory}/run.html`;
    Deno.writeTextFileSync(path, await runPage(pictureOf(killedRun(200))));
    await page.open(path);
    await page.send("Emulation.setScriptExecutionDisabled", { value: false });
    assert.equal(
      await page.evaluate("getComputedStyle(document.querySelector('figure')).display"),
      "block",
    );
    assert.ok(
      await page.evaluate("document.querySelector('figure .usage').getTotalLength()") > 500,
    );
  },
);

browserTest("on a narrow screen nothing is wider than the screen", async (page, directory) => {
  const metrics = { width: 360, height: 800, deviceScaleFactor: 2, mobile: true };
  await page.send("Emulation.setDeviceMetricsOverride", metrics);
  await open(page, directory, crowdedRun(9, 100));
  const width = "document.documentElement.scrollWidth";
  assert.equal(await page.evaluate(width), 360);
  assert.ok(await page.evaluate(inkIn("#memory")) > 50);
  const heights =
    "[...document.querySelectorAll('#events tr, #victims tr')].map((row) => row.offsetHeight)";
  // A column as narrow as a letter would make it ten times as tall.
  assert.ok(Math.max(...await page.evaluate(heights)) < 150);

  const base = { depth: 0, working: null, limit: null, kills: null, leftOut: 0 };
  const names = ["a".repeat(120), "b".repeat(120)];
  const nodes = ["/", ...names.map((name) => `/${name}`)].map((path, at) => ({
    ...base,
    ...{ name: path, path, depth: Math.min(1, at), usage: 100 - at },
  }));
  Deno.writeTextFileSync(`${directory}/tree.html`, await treePage({ about: "here", nodes }));
  await page.open(`${directory}/tree.html`);
  assert.equal(await page.evaluate(width), 360);
});
