/** External names in a browser. */

import assert from "node:assert/strict";
import { runPage } from "../../../core/picture/page.ts";
import { stillPicture } from "../../../core/picture/still.ts";
import { treePage } from "../../../core/picture/tree.ts";
import { browserTest, mouse, open, pictureOf, plot, settled } from "../../helpers/page_cases.ts";
import {
  cgroupLine,
  endLine,
  eventLine,
  head,
  killBody,
  killedRun,
  MIB,
  snapshot,
  START,
} from "../../helpers/recorded_run.ts";

const EVIL =
  `</script><img src=x onerror="document.title='owned'">'"<!--\n\x1b[31m\x00\u202e\u2028&amp;`;

browserTest("a hostile name executes nothing and is shown as text", async (page, directory) => {
  const path = `/${EVIL}`;
  const lines = [
    { ...head, host: EVIL, kernel: EVIL, oomkit: EVIL },
    {
      ...cgroupLine(1, { path, reference_lines: true }),
      container_id: EVIL,
      pod_uid: EVIL,
      limit_owner: EVIL,
    },
    snapshot(START + 5, 1, 100 * MIB, { inactive_file: MIB, some: 1, full: 1 }),
    snapshot(START + 500, 1, 300 * MIB),
    eventLine(START + 400, path, killBody(EVIL)),
    eventLine(START + 450, path, {
      type: "degraded",
      requested: EVIL,
      fallback: EVIL,
      reason: EVIL,
    }),
    endLine(START + 1000),
  ];
  await open(page, directory, lines);
  const { left, top, width } = await page.evaluate(plot);
  await mouse(page, "mouseMoved", left + width * 0.4, top + 50);
  await settled(page);
  assert.match(await page.evaluate("document.getElementById('tip').innerText"), /<img src=x/);
  assert.equal(await page.evaluate("document.querySelectorAll('img').length"), 0);
  assert.equal(await page.evaluate("document.querySelectorAll('script').length"), 2);
  assert.doesNotMatch(await page.evaluate("document.title"), /^owned$/);
  const text = await page.evaluate("document.body.innerText");
  assert.match(
    text,
    /<\/script><img src=x onerror="document\.title='owned'">'"<!--\\x0a\\x1b\[31m/,
  );
  for (const unseen of ["\u202e", "\u2028", "\x1b"]) assert.ok(!text.includes(unseen));

  Deno.writeTextFileSync(`${directory}/run.svg`, stillPicture(pictureOf(lines)));
  await page.open(`${directory}/run.svg`);
  assert.equal(await page.evaluate("document.documentElement.nodeName"), "svg");
  assert.equal(await page.evaluate("document.querySelectorAll('img, parsererror').length"), 0);

  const node = { name: EVIL, path, depth: 0, usage: 5, working: 1, limit: 9, kills: 1, leftOut: 0 };
  Deno.writeTextFileSync(`${directory}/tree.html`, await treePage({ about: EVIL, nodes: [node] }));
  await page.open(`${directory}/tree.html`);
  assert.equal(await page.evaluate("document.querySelectorAll('img').length"), 0);
});

browserTest(
  "an injected script would not run, and nothing can be fetched",
  async (page, directory) => {
    const html = await runPage(pictureOf(killedRun(20)));
    const smuggled = html.replace("</main>", `<script>document.title = "owned"</script></main>`);
    assert.notEqual(smuggled, html);
    Deno.writeTextFileSync(`${directory}/run.html`, smuggled);
    await page.open(`${directory}/run.html`);
    assert.notEqual(await page.evaluate("document.title"), "owned");
    const fetched = await page.evaluate(
      "fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => String(error))",
    );
    assert.match(fetched, /TypeError/);
    const blocked = page.console.splice(0);
    assert.ok(blocked.length >= 2, String(blocked));
    for (const line of blocked) assert.match(line, /Content Security Policy|Failed to fetch/i);
    page.requests.length = 0;
  },
);
