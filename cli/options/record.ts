/** The recording and picture options of `watch`, `guard` and `simulate`. */

import type { Command, OptionValues } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import { option, parsed } from "./option.ts";
import { parseSize } from "./units.ts";

/** A picture of a run or of a recording. */
export interface PictureFlags {
  readonly html?: string | undefined;
  readonly svg?: string | undefined;
  readonly force?: true | undefined;
}

export interface RecordFlags extends PictureFlags {
  readonly record?: string;
  /** Bytes. */
  readonly recordMax: number;
}

/** Whether anything needs the samples of the run. */
export const isRecorded = ({ record, html, svg }: RecordFlags) =>
  [record, html, svg].some((path) => path !== undefined);

/** About half a million samples, which a reader parses in a few seconds. */
const DEFAULT_MAX_RECORDING_BYTES = 64 * 1024 ** 2;
/** Room for the header with a policy, some cgroups, and some samples. */
const MIN_MAX_RECORDING_BYTES = 64 * 1024;

function parseMax(text: string): number {
  const bytes = parseSize(text);
  if (bytes >= MIN_MAX_RECORDING_BYTES) return bytes;
  throw new OomkitError(`"${text}" is too small for a recording`, "use at least 64K");
}

export const forceOption = option("--force", "overwrite existing files", { group: "recording" });

/** A command with all of them. */
export function withRecording<A extends unknown[], O extends OptionValues, G extends OptionValues>(
  command: Command<A, O, G>,
): Command<A, O & RecordFlags, G> {
  const extended = command
    .addOption(
      option(
        "--record <file>",
        "record samples and events, to draw or replay them later (compressed if named .gz)",
        { group: "recording" },
      ),
    )
    .addOption(
      option("--record-max <size>", "maximum size of the recording", { group: "recording" })
        .argParser(parsed(parseMax)).default(DEFAULT_MAX_RECORDING_BYTES, "64M"),
    )
    .addOption(option("--html <file>", "draw the run as an HTML page", { group: "recording" }))
    .addOption(option("--svg <file>", "draw the run as an SVG image", { group: "recording" }))
    .addOption(forceOption);
  return extended as unknown as Command<A, O & RecordFlags, G>;
}
