/** How a picture says what happened: in the words of the command line. */

import { EVENT_TYPES, type OomkitEvent } from "../../core/events/event.ts";
import { buildChart, type ChartBuilder, type Words } from "../../core/picture/chart_builder.ts";
import type { Picture } from "../../core/picture/picture.ts";
import { recordingClock } from "../../core/record/clock.ts";
import type { RecordSink } from "../../core/record/format.ts";
import type { OwnEvent } from "../../core/simulate/event.ts";
import type { PictureFlags } from "../options/record.ts";
import { headline } from "../simulate/verdict.ts";
import { eventFacts } from "./event_text.ts";
import { printable } from "./output.ts";
import { checkOutputConflicts } from "./output_conflicts.ts";
import { openPictureFile, type PictureFile } from "./picture_file.ts";

export const pictureWords: Words = {
  printable: printable,
  facts(event) {
    try {
      return printable(factsOf(event) ?? "") || undefined;
    } catch {
      // It is out of a file, where an event may be anything.
      return "(what is recorded of it cannot be read)";
    }
  },
};

function factsOf(event: { readonly type: string }): string | undefined {
  if (event.type === "summary") return undefined;
  if (EVENT_TYPES.some((type) => type === event.type)) {
    return eventFacts(withBigInts(event) as OomkitEvent);
  }
  return simulationFacts(event as OwnEvent);
}

/** In a recording counts are numbers, as in all JSON. */
function withBigInts(event: object): object {
  return Object.fromEntries(
    Object.entries(event).map(([name, value]) => [
      name,
      (name === "count" && typeof value === "number" || name === "stalled_us") && value !== null
        ? BigInt(value)
        : value,
    ]),
  );
}

/** Of the many steps of a simulation the line tells. */
function simulationFacts(event: OwnEvent): string | undefined {
  switch (event.type) {
    case "verdict":
      return headline(event);
    case "start":
      return event.fake === null
        ? `${
          event.pids.length === 1 ? "an allocator" : `${event.pids.length} allocators`
        } of ${event.kind} memory begin${event.pids.length === 1 ? "s" : ""}`
        : `a made-up tree is played with: ${event.fake}`;
    case "signal":
      return `pid ${event.pid} got ${event.signal}`;
    case "exit":
      return `pid ${event.pid} ended with status ${event.exit_code}`;
    default:
      return undefined;
  }
}

/* The picture of a run, or of a recording of one: loaded only for who asks for it. */

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
  checkOutputConflicts({ html, svg });
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
  const picture = nonEmptyPicture(chartBuilder);
  if (picture === undefined) files.drop();
  else await writePictures(files, picture);
}

/** `undefined` where there is nothing to show. */
export function nonEmptyPicture(chartBuilder: ChartBuilder): Picture | undefined {
  const picture = chartBuilder.picture();
  const isEmpty = picture === undefined ||
    picture.groups.length + picture.events.length === 0 && picture.tone === "fine";
  return isEmpty ? undefined : picture;
}

export async function writePictures(files: PictureFiles, picture: Picture): Promise<void> {
  try {
    if (files.html) {
      files.html.write(await (await import("../../core/picture/page.ts")).runPage(picture));
    }
  } finally {
    // Each is of use without the other.
    if (files.svg) {
      files.svg.write((await import("../../core/picture/still.ts")).stillPicture(picture));
    }
  }
}
