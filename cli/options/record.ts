/** What a run leaves to be looked at, and run again, later: what `watch`, `guard` and `simulate` take for it. */

import type { Command, OptionValues } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import { option, parsed } from "./option.ts";
import { parseSize } from "./units.ts";

/** A picture, of a run or of a recording. */
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

/** Whether anybody wants to know what is seen. */
export const isRecorded = ({ record, html, svg }: RecordFlags) =>
  [record, html, svg].some((path) => path !== undefined);

const MIB = 1024 ** 2;
/** Half a million looks, and no more than a reader takes in a few seconds. */
const DEFAULT_MAX = 64 * MIB;
/** The head with a plan, some cgroups, and something to see. */
const SMALLEST_MAX = 64 * 1024;

function parseMax(text: string): number {
  const bytes = parseSize(text);
  if (bytes >= SMALLEST_MAX) return bytes;
  throw new OomkitError(`"${text}" is too small for a recording`, "use at least 64K");
}

export const htmlOption = option("--html <file>", "draw a picture of it as a page, in one file");
export const forceOption = option("--force", "write over files that are there already");
export const svgOption = option("--svg <file>", "the same as a still picture");

/** A command with all of them. */
export function withRecording<A extends unknown[], O extends OptionValues, G extends OptionValues>(
  command: Command<A, O, G>,
): Command<A, O & RecordFlags, G> {
  const extended = command
    .addOption(
      option(
        "--record <file>",
        "write all that is seen there, to look at it or run it again (.gz)",
      ),
    )
    .addOption(
      option("--record-max <size>", "write no more than this").argParser(parsed(parseMax))
        .default(DEFAULT_MAX, "64M"),
    )
    .addOption(htmlOption)
    .addOption(svgOption)
    .addOption(forceOption);
  return extended as unknown as Command<A, O & RecordFlags, G>;
}
