/** The picture of a run, or of a recording of one: loaded only for who asks for it. */

import { buildChart, type ChartBuilder } from "../core/picture/gather.ts";
import type { Picture } from "../core/picture/picture.ts";
import type { RecordSink } from "../core/record/format.ts";
import { recordingClock } from "../core/record/clock.ts";
import { checkOwnFiles } from "./own_files.ts";
import { openPictureFile, type PictureFile } from "./picture_file.ts";
import { pictureWords } from "./picture_words.ts";
import type { PictureFlags } from "./record_options.ts";

export interface RunPicture extends RecordSink {
  /** Draws what was seen. Throws `OomkitError` when it cannot be written. */
  close(): Promise<void>;
}

/** Throws `OomkitError` when a file cannot be made: before the run begins that it is of. */
export function openPicture(flags: PictureFlags): RunPicture {
  const files = openPictureFiles(flags);
  const chartBuilder = buildChart(pictureWords);
  return {
    line: chartBuilder.add,
    async close() {
      chartBuilder.add({ type: "end", at: recordingClock(), reason: "ended" });
      await drawInto(files, chartBuilder);
    },
  };
}

export interface PictureFiles {
  readonly html: PictureFile | undefined;
  readonly svg: PictureFile | undefined;
  /** Whatever of them is not written yet. */
  drop(): void;
}

export function openPictureFiles({ html, svg, force }: PictureFlags): PictureFiles {
  checkOwnFiles({ html, svg });
  const first = html === undefined ? undefined : openPictureFile(html, "the page", force === true);
  try {
    const second = svg === undefined
      ? undefined
      : openPictureFile(svg, "the picture", force === true);
    const drop = () => [first, second].forEach((file) => file?.drop());
    return { html: first, svg: second, drop };
  } catch (error) {
    first?.drop();
    throw error;
  }
}

/** What was ended before anything was seen leaves no file. */
export async function drawInto(files: PictureFiles, chartBuilder: ChartBuilder): Promise<void> {
  const picture = seenIn(chartBuilder);
  if (picture === undefined) files.drop();
  else await writePictures(files, picture);
}

/** `undefined` where there is nothing to show. */
export function seenIn(chartBuilder: ChartBuilder): Picture | undefined {
  const picture = chartBuilder.picture();
  const isEmpty = picture === undefined ||
    picture.groups.length + picture.events.length === 0 && picture.tone === "fine";
  return isEmpty ? undefined : picture;
}

export async function writePictures(files: PictureFiles, picture: Picture): Promise<void> {
  try {
    if (files.html) {
      files.html.write(await (await import("../core/picture/page.ts")).runPage(picture));
    }
  } finally {
    // Each is of use without the other.
    if (files.svg) {
      files.svg.write((await import("../core/picture/still.ts")).stillPicture(picture));
    }
  }
}
