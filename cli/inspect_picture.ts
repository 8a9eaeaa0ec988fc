/** `oomkit inspect run.jsonl --html run.html`: a picture of what was recorded. */

import { OomkitError, shortened } from "../core/errors.ts";
import { gather } from "../core/picture/gather.ts";
import { readRecording } from "../core/record/reader.ts";
import type { ExitCode } from "./main.ts";
import { printable } from "./output.ts";
import { drawInto, openPictureFiles } from "./picture.ts";
import { pictureWords } from "./picture_words.ts";
import type { PictureFlags } from "./record_options.ts";

/** @param names of recordings: one. Throws `OomkitError`, and leaves no picture then. */
export async function drawRecording(
  names: readonly string[],
  flags: PictureFlags,
): Promise<ExitCode> {
  const [name] = names;
  if (name === undefined || names.length > 1) {
    throw new OomkitError(
      name === undefined
        ? "cannot draw a picture: no recording is named"
        : `cannot draw ${names.length} recordings at once`,
      "write: oomkit inspect run.jsonl --html run.html, or add --tree for where memory is now",
    );
  }
  if (isFolder(name)) {
    throw new OomkitError(
      `cannot draw ${printable(shortened(name))}: it is a directory, and no recording`,
      "name a file of --record, or add --tree for where memory is now",
    );
  }
  const files = openPictureFiles(flags);
  try {
    const gathering = gather(pictureWords);
    for await (const line of readRecording(name)) gathering.add(line);
    await drawInto(files, gathering);
  } catch (error) {
    files.drop();
    throw error;
  }
  return 0;
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    // The reader says what is the matter with it.
    return false;
  }
}
