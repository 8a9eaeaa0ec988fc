/** Shared by the tests of pages in a browser. */

import assert from "node:assert/strict";
import { pictureWords } from "../../cli/output/picture.ts";
import { PictureBuilder } from "../../core/picture/picture_builder.ts";
import { runPage } from "../../core/picture/page.ts";
import type { RecordingLine } from "../../core/record/format.ts";
import { openPage, type Page, whyNoBrowser } from "./browser.ts";

/** Runs only with a browser. Afterwards the console must be empty, and no request may have been sent. */
export function browserTest(
  name: string,
  run: (page: Page, directory: string) => Promise<void>,
): void {
  Deno.test({
    name: whyNoBrowser ? `${name} (not run: ${whyNoBrowser})` : name,
    ignore: whyNoBrowser !== undefined,
    async fn() {
      const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
      try {
        await using page = await openPage();
        await run(page, directory);
        assert.deepEqual(page.console, [], "the console is quiet");
        assert.deepEqual(page.requests, [], "no request leaves");
      } finally {
        Deno.removeSync(directory, { recursive: true });
      }
    },
  });
}

export function pictureOf(lines: Iterable<RecordingLine>) {
  const builder = new PictureBuilder(pictureWords);
  for (const line of lines) builder.add(line);
  return builder.picture()!;
}

export async function open(
  page: Page,
  directory: string,
  lines: Iterable<RecordingLine>,
): Promise<void> {
  const path = `${directory}/run.html`;
  Deno.writeTextFileSync(path, await runPage(pictureOf(lines)));
  await page.open(path);
  await settled(page);
}

/** Two frames later, earlier changes are drawn. */
export const settled = (page: Page) =>
  page.evaluate(
    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))",
  );

/** The position of the memory chart in the window. */
export const plot = `(() => { const { left, top, width, height } =
  document.querySelector("#memory .u-over").getBoundingClientRect();
  return { left, top, width, height }; })()`;

export async function mouse(
  page: Page,
  type: string,
  x: number,
  y: number,
  rest = {},
): Promise<void> {
  await page.send("Input.dispatchMouseEvent", { type, x, y, ...rest });
}

export async function drag(page: Page, from: number, to: number, y: number, modifiers = 0) {
  const held = { button: "left", buttons: 1, clickCount: 1, modifiers };
  await mouse(page, "mouseMoved", from, y);
  await mouse(page, "mousePressed", from, y, held);
  await mouse(page, "mouseMoved", (from + to) / 2, y, held);
  await mouse(page, "mouseMoved", to, y, held);
  await mouse(page, "mouseReleased", to, y, { ...held, buttons: 0 });
  await settled(page);
}

/** The visible time range. */
export const viewOf = async (page: Page): Promise<number[]> =>
  (await page.evaluate("document.body.dataset.view")).split(" ").map(Number);

/** The number of colours on a canvas; an empty one has one. */
export const inkIn = (holder: string) =>
  `(() => { const canvas = document.querySelector("${holder} canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size; })()`;
