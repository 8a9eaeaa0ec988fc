/** The recording and picture options of `watch`, `guard` and `simulate`. */

import { OomkitError } from "../../core/errors.ts";
import { flag, type FlagsOf, value } from "./option.ts";
import { parseSize } from "./units.ts";

/** About half a million samples, which a reader parses in a few seconds. */
const DEFAULT_MAX_RECORDING_BYTES = 64 * 1024 ** 2;
/** Room for the header with a policy, some cgroups, and some samples. */
const MIN_MAX_RECORDING_BYTES = 64 * 1024;

function parseMax(text: string): number {
  const bytes = parseSize(text);
  if (bytes >= MIN_MAX_RECORDING_BYTES) return bytes;
  throw new OomkitError(`"${text}" is too small for a recording`, "use at least 64K");
}

const GROUP = { group: "recording" } as const;

export const FORCE_OPTION = { force: flag("--force", "overwrite existing files", GROUP) };

const PICTURE_OPTIONS = {
  html: value("--html <file>", "draw the run as an HTML page", GROUP),
  svg: value("--svg <file>", "draw the run as an SVG image", GROUP),
  ...FORCE_OPTION,
};

export const RECORD_OPTIONS = {
  record: value(
    "--record <file>",
    "record samples and events, to draw or replay them later (compressed if named .gz)",
    GROUP,
  ),
  recordMax: value("--record-max <size>", "maximum size of the recording", {
    ...GROUP,
    parse: parseMax,
    default: [DEFAULT_MAX_RECORDING_BYTES, "64M"],
  }),
  ...PICTURE_OPTIONS,
};

/** A picture of a run or of a recording. */
export type PictureFlags = FlagsOf<typeof PICTURE_OPTIONS>;

export type RecordFlags = FlagsOf<typeof RECORD_OPTIONS>;

/** Whether anything needs the samples of the run. */
export const isRecorded = ({ record, html, svg }: RecordFlags) =>
  [record, html, svg].some((path) => path !== undefined);
