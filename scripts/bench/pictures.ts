/**
 * Costs of a picture: `deno run -A scripts/bench/pictures.ts`. Needs Chromium; figures in docs/pictures.md.
 */

import { pictureWords } from "../../cli/output/picture.ts";
import { PictureBuilder } from "../../core/picture/picture_builder.ts";
import { runPage } from "../../core/picture/page.ts";
import { stillPicture } from "../../core/picture/still.ts";
import { openPage, whyNoBrowser } from "../../tests/helpers/browser.ts";
import { climb, endLine, head, START } from "../../tests/helpers/recorded_run.ts";
import { Mistake, printLine, run } from "../terminal.ts";

const SECONDS = 3600;
const PANS = 60;

/** Milliseconds from a key to the drawn frame: median, and p95 of 60. */
const panning = `(async () => {
  const charts = document.getElementById("charts");
  document.querySelector("button[data-do=in]").click();
  const took = [];
  for (let n = 0; n < ${PANS}; n++) {
    const begun = performance.now();
    const key = n % 20 < 10 ? "ArrowRight" : "ArrowLeft";
    charts.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    took.push(performance.now() - begun);
  }
  took.sort((a, b) => a - b);
  return [took[${PANS / 2}], took[${PANS - 3}]];
})()`;

async function measure(points: number, directory: string): Promise<string> {
  const chartBuilder = new PictureBuilder(pictureWords);
  chartBuilder.add(head);
  for (const line of climb(1, { path: "/big", reference_lines: true }, points, SECONDS)) {
    chartBuilder.add(line);
  }
  chartBuilder.add(endLine(START + SECONDS * 1000));
  const picture = chartBuilder.picture()!;
  const begun = performance.now();
  const html = await runPage(picture);
  const made = performance.now() - begun;
  const svg = stillPicture(picture);
  Deno.writeTextFileSync(`${directory}/run.html`, html);
  await using page = await openPage();
  await page.open(`${directory}/run.html`);
  const [median, most] = await page.evaluate(panning);
  const kib = (text: string) => `${Math.round(text.length / 1024)} KiB`;
  return `| ${points} | ${made.toFixed(0)} ms | ${kib(html)} | ${kib(svg)} | ` +
    `${median.toFixed(0)} ms / ${most.toFixed(0)} ms |`;
}

if (import.meta.main) {
  await run("pictures", async () => {
    if (whyNoBrowser) throw new Mistake(whyNoBrowser);
    const directory = Deno.makeTempDirSync({ prefix: "oomkit-bench-" });
    try {
      printLine("| points a line | made in | page | still | pan, median / p95 |");
      for (const points of [1000, 10_000, 100_000]) printLine(await measure(points, directory));
      return 0;
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  });
}
