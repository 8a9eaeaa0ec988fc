/** A tree, and large pages, in a browser. */

import assert from "node:assert/strict";
import { treePage } from "../../../core/picture/tree.ts";
import { browserTest, open } from "../../helpers/page_cases.ts";
import { climb, crowdedRun, endLine, head, START } from "../../helpers/recorded_run.ts";

browserTest("a click enters a cgroup of a tree, and Escape leaves it", async (page, directory) => {
  const base = { working: null, limit: null, kills: null, leftOut: 0 };
  const nodes = [
    { name: "/", path: "/", depth: 0, usage: 1000, ...base },
    { name: "a", path: "/a", depth: 1, usage: 600, ...base },
    { name: "x", path: "/a/x", depth: 2, usage: 500, ...base },
    { name: "b", path: "/b", depth: 1, usage: 300, ...base },
  ];
  Deno.writeTextFileSync(`${directory}/tree.html`, await treePage({ about: "here", nodes }));
  await page.open(`${directory}/tree.html`);
  const root = "document.body.dataset.root";
  const cells = "document.querySelectorAll('#map rect[role=button]').length";
  assert.deepEqual([await page.evaluate(root), await page.evaluate(cells)], ["/", 4]);
  await page.evaluate(
    "document.querySelector('#map [data-node=\"1\"]').dispatchEvent(new MouseEvent('click'))",
  );
  assert.deepEqual([await page.evaluate(root), await page.evaluate(cells)], ["/a", 2]);
  await page.send("Input.dispatchKeyEvent", { type: "keyDown", key: "Escape", code: "Escape" });
  assert.equal(await page.evaluate(root), "/");
});

/** Pans `count` times in the browser, and waits each time until it is drawn. */
const pans = (count: number) =>
  `(async () => {
    const charts = document.getElementById("charts");
    let frames = 0;
    let longest = 0;
    document.querySelector("button[data-do=in]").click();
    for (let n = 0; n < ${count}; n++) {
      const begun = performance.now();
      const key = n % 20 < 10 ? "ArrowRight" : "ArrowLeft";
      charts.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      longest = Math.max(longest, performance.now() - begun);
      frames++;
    }
    return { frames, longest };
  })()`;

browserTest(
  "100,000 points pan at most four times slower than a thousand",
  async (page, directory) => {
    const run = (points: number) => [
      head,
      ...climb(1, { path: "/big", reference_lines: true }, points, 3600),
      endLine(START + 3_600_000),
    ];
    await open(page, directory, run(1000));
    await page.evaluate(pans(10));
    const begun = performance.now();
    await page.evaluate(pans(40));
    const few = performance.now() - begun;
    await open(page, directory, run(100_000));
    await page.evaluate(pans(10));
    const begunMany = performance.now();
    const { frames } = await page.evaluate(pans(40));
    const many = performance.now() - begunMany;
    assert.equal(frames, 40);
    assert.ok(
      many < 4 * few,
      `40 pans took ${many.toFixed(0)} ms, of a thousand points ${few.toFixed(0)}`,
    );
  },
);

browserTest("a thousand cgroups can be selected together", async (page, directory) => {
  await open(page, directory, crowdedRun(1000, 60));
  await page.evaluate("document.querySelector('button[data-do=all]').click()");
  const { frames } = await page.evaluate(pans(3));
  assert.equal(frames, 3);
  assert.equal(await page.evaluate("document.querySelectorAll('input:checked').length"), 1000);
});
