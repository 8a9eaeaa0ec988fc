/** Pictures of runs: files for `--html` and `--svg`, and the texts in them. Loaded only if a picture was requested. */

import { errorText, OomkitError, shortened } from "../../core/errors.ts";
import { EVENT_TYPES, type OomkitEvent } from "../../core/events/event.ts";
import { PictureBuilder, type Words } from "../../core/picture/picture_builder.ts";
import type { Picture } from "../../core/picture/picture.ts";
import { recordingClock } from "../../core/record/clock.ts";
import type { RecordSink } from "../../core/record/format.ts";
import { createNewFile } from "../../core/record/new_file.ts";
import type { OwnEvent } from "../../core/simulate/event.ts";
import type { PictureFlags } from "../options/subcommand.ts";
import { formatCount } from "../options/units.ts";
import { headline } from "../simulate/verdict.ts";
import { eventFacts } from "./event_text.ts";
import { checkOutputConflicts } from "./files.ts";
import { printable, tell, writeAll } from "./output.ts";

export const pictureWords: Words = {
  printable,
  facts(event) {
    try {
      return printable(factsOf(event) ?? "") || undefined;
    } catch {
      // An event from a file may have any fields.
      return "(invalid event in the recording)";
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

/** Counts are numbers in a recording, as in all JSON. */
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

/** Steps of a simulation are in the usage curve already. */
function simulationFacts(event: OwnEvent): string | undefined {
  switch (event.type) {
    case "verdict":
      return headline(event);
    case "start": {
      if (event.fake_reason !== null) {
        return `simulated on a fake cgroup tree: ${event.fake_reason}`;
      }
      return `${formatCount(event.pids.length, "allocator")} of ${event.kind} memory started`;
    }
    case "signal":
      return `pid ${event.pid} received ${event.signal}`;
    case "exit":
      return `pid ${event.pid} exited with status ${event.exit_code}`;
    default:
      return undefined;
  }
}

/** Called before the run. Throws `OomkitError` if a file cannot be created, and `close` if one cannot be written. */
export function openPicture(flags: PictureFlags) {
  const files = openPictureFiles(flags);
  const builder = new PictureBuilder(pictureWords);
  return {
    line: (line: Parameters<RecordSink["line"]>[0]) => builder.add(line),
    async close(): Promise<void> {
      builder.add({ type: "end", at: recordingClock(), reason: "ended" });
      const picture = nonEmptyPicture(builder);
      if (picture === undefined) files.drop();
      else await writePictures(files, picture);
    },
  };
}

/** `undefined` if there is nothing to draw. */
export function nonEmptyPicture(builder: PictureBuilder): Picture | undefined {
  const picture = builder.picture();
  const isEmpty = picture === undefined ||
    picture.groups.length + picture.events.length === 0 && picture.tone === "fine";
  return isEmpty ? undefined : picture;
}

export interface PictureFiles {
  readonly html: PictureFile | undefined;
  readonly svg: PictureFile | undefined;
  /** Removes the files that are not written yet. */
  drop(): void;
}

/** Throws `OomkitError` if a file cannot be created; then none is left. */
export function openPictureFiles({ html, svg, force }: PictureFlags): PictureFiles {
  checkOutputConflicts({ html, svg });
  const page = html === undefined ? undefined : new PictureFile(html, "the page", force);
  try {
    const still = svg === undefined ? undefined : new PictureFile(svg, "the picture", force);
    return { html: page, svg: still, drop: () => [page, still].forEach((file) => file?.drop()) };
  } catch (error) {
    page?.drop();
    throw error;
  }
}

export async function writePictures(files: PictureFiles, picture: Picture): Promise<void> {
  try {
    if (files.html) {
      files.html.write(await (await import("../../core/picture/page.ts")).runPage(picture));
    }
  } finally {
    // Also after a failure of the page.
    if (files.svg) {
      files.svg.write((await import("../../core/picture/still.ts")).stillPicture(picture));
    }
  }
}

/** To be attached and shared, like every other report. */
const ANY_USER = 0o666;

/** A file that is created before the run, and removed again if it is not written. */
class PictureFile {
  readonly #file: Deno.FsFile;
  #isClosed = false;

  /** Throws `OomkitError`. @param what for messages, such as `the page` */
  constructor(private readonly path: string, private readonly what: string, force = false) {
    this.#file = createNewFile(path, { force, what, mode: ANY_USER });
  }

  /** Writes and closes. Throws `OomkitError` on a full disk, and removes the incomplete file. */
  write(text: string): void {
    try {
      writeAll(this.#file, text);
    } catch (error) {
      this.drop();
      throw new OomkitError(
        `cannot write ${this.what} to ${shortened(this.path)}: ${errorText(error)}`,
        "name a file on a disk with free space",
      );
    }
    this.#isClosed = true;
    this.#file.close();
    tell(`wrote ${this.what}: ${this.path}`);
  }

  /** Closes and removes the file, unless it is written. */
  drop(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      const { dev, ino } = this.#file.statSync();
      const current = Deno.lstatSync(this.path);
      // Not a file that another program has put in its place.
      if (current.dev === dev && current.ino === ino) Deno.removeSync(this.path);
    } catch {
      // It is gone, or its directory has become read-only: the error that led here is the one to report.
    }
    this.#file.close();
  }
}
