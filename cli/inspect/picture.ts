/** The pictures of `inspect`: of a recording, or with `--tree` of the memory of a cgroup tree. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import type { Machine } from "../../core/cgroup/machine.ts";
import { type CgroupTree, flatten, readSubtree } from "../../core/cgroup/subtree.ts";
import { OomkitError, shortened } from "../../core/errors.ts";
import { PictureBuilder } from "../../core/picture/picture_builder.ts";
import type { Node } from "../../core/picture/page/icicle.js";
import { withShortIds } from "../../core/picture/text.ts";
import { treePage, treeStill } from "../../core/picture/tree.ts";
import { workingSet } from "../../core/policy/limits.ts";
import type { ExitCode } from "../exit.ts";
import type { PictureFlags } from "../options/subcommand.ts";
import { printable } from "../output/output.ts";
import { checkOutputConflicts } from "../output/files.ts";
import {
  nonEmptyPicture,
  openPictureFiles,
  type PictureFiles,
  pictureWords,
  writePictures,
} from "../output/picture.ts";
import { recordingLines } from "../output/recording.ts";

/** Draws the one recording in `names`. Throws `OomkitError`, and then leaves no picture. */
export async function drawRecording(
  names: readonly string[],
  flags: PictureFlags,
): Promise<ExitCode> {
  const [name] = names;
  if (name === undefined || names.length > 1) {
    throw new OomkitError(
      name === undefined
        ? "cannot draw a picture: no recording is named"
        : `cannot draw ${names.length} recordings in one picture`,
      "write: oomkit inspect run.jsonl --html run.html, or add --tree for a picture of current memory",
    );
  }
  if (statOf(name)?.isDirectory) {
    throw new OomkitError(
      `cannot draw ${printable(shortened(name))}: it is a directory, not a recording`,
      "name a file of --record, or add --tree for a picture of current memory",
    );
  }
  checkOutputConflicts(flags, name);
  // Checks that the files can be created, before reading takes long; an interrupted read leaves no file.
  if (!flags.force) openPictureFiles(flags).drop();
  let files: PictureFiles | undefined;
  try {
    const builder = new PictureBuilder(pictureWords);
    for await (const line of recordingLines(name)) builder.add(line);
    const picture = nonEmptyPicture(builder);
    if (picture === undefined) {
      throw new OomkitError(
        `cannot draw ${printable(shortened(name))}: it has no samples and no events`,
        "name the recording of a run that has started",
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

/** Whether `names` is one file, not a cgroup. */
export const isRecordingAt = (names: readonly string[]): boolean =>
  names.length === 1 && statOf(names[0]!)?.isFile === true;

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    // The reader reports the error.
    return undefined;
  }
}

/** Takes the cgroups and the machine that `inspect` shows. */
export type AlsoShow = (cgroups: readonly Cgroup[], machine: Machine) => void;

/** Throws `OomkitError` if a file cannot be created. */
export function openTreePicture(
  flags: PictureFlags & { readonly depth?: number | undefined; readonly top?: number | undefined },
) {
  checkOutputConflicts(flags);
  let files = flags.force ? undefined : openPictureFiles(flags);
  let seen: Parameters<AlsoShow> | undefined;
  return {
    show: (...those: Parameters<AlsoShow>) => void (seen = those),
    /** Removes the files that are not written yet. */
    drop: () => files?.drop(),
    /** Throws `OomkitError` on failure. */
    async write() {
      const [cgroups, machine] = seen ?? [];
      const bounds = { depth: flags.depth ?? Infinity, top: flags.top ?? Infinity };
      const trees = cgroups?.map((cgroup) => readSubtree(cgroup, bounds))
        .filter((tree) => tree !== undefined);
      if (machine === undefined || !trees?.length) return;
      files ??= openPictureFiles(flags);
      const time = new Date().toISOString().slice(0, 19).replace("T", " ");
      const host = printable(machine.hostname ?? "this machine");
      const picture = {
        about: `oomkit inspect · ${host} · Linux ${
          printable(machine.kernel ?? "of an unknown version")
        } · ${time} UTC`,
        nodes: nodesOf(trees),
      };
      files.html?.write(await treePage(picture));
      files.svg?.write(treeStill(picture));
    },
  };
}

/** Several trees get a common root with the sum of their usage. */
function nodesOf(trees: readonly CgroupTree[]): Node[] {
  const [only] = trees;
  if (trees.length === 1) {
    const nodes = [...flatten(only!)].map((branch) => nodeOf(branch, 0));
    return [withUsage(nodes[0]!, nodes), ...nodes.slice(1)];
  }
  const usage = trees.reduce((sum, { snapshot }) => sum + (snapshot.usage ?? 0), 0);
  const name = `${trees.length} cgroups`;
  const unknown = { working: null, limit: null, kills: null, leftOut: 0 };
  return [
    { name, path: name, depth: 0, usage, ...unknown },
    ...trees.flatMap((tree) => [...flatten(tree)].map((branch) => nodeOf(branch, 1))),
  ];
}

/** The root of v2 has no usage of its own: it gets the sum of its children. */
function withUsage(root: Node, nodes: readonly Node[]): Node {
  const known = nodes.filter(({ depth, usage }) => depth === 1 && usage !== null);
  if (root.usage !== null || known.length === 0) return root;
  return { ...root, usage: known.reduce((sum, { usage }) => sum + usage!, 0) };
}

function nodeOf({ cgroup, depth, snapshot, leftOut }: CgroupTree, extraDepth: number): Node {
  const { max } = snapshot.limits;
  const kills = snapshot.subtree.oomKill ?? snapshot.local.oomKill;
  return {
    name: nameOf(cgroup.path, depth),
    path: printable(cgroup.path),
    depth: depth + extraDepth,
    usage: snapshot.usage ?? null,
    working: workingSet(snapshot) ?? null,
    limit: max === undefined || max === Infinity ? null : max,
    kills: kills === undefined ? null : Number(kills),
    leftOut,
  };
}

const nameOf = (path: string, depth: number) =>
  printable(withShortIds(depth === 0 ? path : path.slice(path.lastIndexOf("/") + 1)));
