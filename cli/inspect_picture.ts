/** The pictures of `inspect`: of a recording, and with `--tree` of where memory is. */

import { readSubtree } from "../core/cgroup/subtree.ts";
import { OomkitError, shortened } from "../core/errors.ts";
import { buildChart } from "../core/picture/gather.ts";
import type { AlsoShow } from "./inspect.ts";
import type { ExitCode } from "./main.ts";
import { printable } from "./output.ts";
import { checkOwnFiles } from "./own_files.ts";
import { openPictureFiles, type PictureFiles, seenIn, writePictures } from "./picture.ts";
import { pictureWords } from "./picture_words.ts";
import { linesOf } from "./reading.ts";
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
  checkOwnFiles(flags, name);
  // Whether they can be made, before what may take long; whoever breaks that off is left with nothing half done.
  if (!flags.force) openPictureFiles(flags).drop();
  let files: PictureFiles | undefined;
  try {
    const chartBuilder = buildChart(pictureWords);
    for await (const line of linesOf(name)) chartBuilder.add(line);
    const picture = seenIn(chartBuilder);
    if (picture === undefined) {
      throw new OomkitError(
        `cannot draw ${printable(shortened(name))}: nothing was seen in it`,
        "give a recording of a run that has begun",
      );
    }
    files = openPictureFiles(flags);
    await writePictures(files, picture);
    return 0;
  } catch (error) {
    files?.drop();
    throw error;
  }
}

/** Whether that is what is named, rather than a cgroup. */
export function isRecordingAt(names: readonly string[]): boolean {
  try {
    return names.length === 1 && Deno.statSync(names[0]!).isFile;
  } catch {
    return false;
  }
}

export interface TreePictureRun {
  readonly show: AlsoShow;
  /** Throws `OomkitError` when it cannot be written. */
  write(): Promise<void>;
  /** Whatever is not written yet. */
  drop(): void;
}

interface TreeFlags extends PictureFlags {
  readonly depth?: number | undefined;
  readonly top?: number | undefined;
}

/** Throws `OomkitError` when a file cannot be made. */
export function openTreePicture(flags: TreeFlags): TreePictureRun {
  checkOwnFiles(flags);
  let files = flags.force ? undefined : openPictureFiles(flags);
  let seen: Parameters<AlsoShow> | undefined;
  return {
    show: (...those) => void (seen = those),
    drop: () => files?.drop(),
    async write() {
      const [cgroups, machine] = seen ?? [];
      const levelBytes = { depth: flags.depth ?? Infinity, top: flags.top ?? Infinity };
      const trees = cgroups?.map((cgroup) => readSubtree(cgroup, levelBytes))
        .filter((tree) => tree !== undefined);
      if (machine === undefined || !trees?.length) return;
      const { drawTrees } = await import("./tree_picture.ts");
      files ??= openPictureFiles(flags);
      await drawTrees(files, trees, machine, Date.now());
    },
  };
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    // The reader says what is the matter with it.
    return false;
  }
}
