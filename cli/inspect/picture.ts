/** The pictures of `inspect`: of a recording, and with `--tree` of where memory is. */

import { identify } from "../../core/cgroup/identity.ts";
import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import type { Machine } from "../../core/cgroup/machine.ts";
import { type CgroupTree, flatten, readSubtree } from "../../core/cgroup/subtree.ts";
import { OomkitError, shortened } from "../../core/errors.ts";
import { buildChart } from "../../core/picture/chart_builder.ts";
import type { Node } from "../../core/picture/page/icicle.js";
import { treePage, treeStill } from "../../core/picture/tree.ts";
import { workingSet } from "../../core/policy/limits.ts";
import type { ExitCode } from "../exit.ts";
import type { PictureFlags } from "../options/record.ts";
import { printable } from "../output/output.ts";
import { checkOutputConflicts } from "../output/output_conflicts.ts";
import {
  openPictureFiles,
  type PictureFiles,
  pictureWords,
  seenIn,
  writePictures,
} from "../output/picture.ts";
import { recordingLines } from "../simulate/replay.ts";

/** Receives what was inspected, to show it in another way. */
export type AlsoShow = (cgroups: readonly Cgroup[], machine: Machine) => void;

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
  checkOutputConflicts(flags, name);
  // Whether they can be made, before what may take long; whoever breaks that off is left with nothing half done.
  if (!flags.force) openPictureFiles(flags).drop();
  let files: PictureFiles | undefined;
  try {
    const chartBuilder = buildChart(pictureWords);
    for await (const line of recordingLines(name)) chartBuilder.add(line);
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
  checkOutputConflicts(flags);
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
      const { drawTrees } = await import("./picture.ts");
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

/* `oomkit inspect --tree --html tree.html`: where the node's memory is, as a picture. */

/** @param at milliseconds since the epoch. Throws `OomkitError` when a file cannot be written. */
export async function drawTrees(
  files: PictureFiles,
  trees: readonly CgroupTree[],
  machine: Machine,
  at: number,
): Promise<void> {
  const moment = new Date(at).toISOString().slice(0, 19).replace("T", " ");
  const host = printable(machine.hostname ?? "this machine");
  const picture = {
    about: `oomkit inspect · ${host} · Linux ${printable(machine.kernel)} · ${moment} UTC`,
    nodes: nodesOf(trees),
  };
  files.html?.write(await treePage(picture));
  files.svg?.write(treeStill(picture));
}

/** Several trees get one above them that is as large as they are together. */
export function nodesOf(trees: readonly CgroupTree[]): Node[] {
  const [only] = trees;
  if (trees.length === 1) {
    const nodes = [...flatten(only!)].map((branch) => nodeOf(branch, 0));
    return [withUsage(nodes[0]!, nodes), ...nodes.slice(1)];
  }
  const usage = trees.reduce((sum, { snapshot }) => sum + (snapshot.usage ?? 0), 0);
  const name = `${trees.length} cgroups`;
  const above = { working: null, limit: null, kills: null, leftOut: 0 };
  return [
    { name, path: name, depth: 0, usage, ...above },
    ...trees.flatMap((tree) => [...flatten(tree)].map((branch) => nodeOf(branch, 1))),
  ];
}

/** The root of v2 counts nothing itself: it is as large as what is right beneath it. */
function withUsage(root: Node, nodes: readonly Node[]): Node {
  const known = nodes.filter(({ depth, usage }) => depth === 1 && usage !== null);
  if (root.usage !== null || known.length === 0) return root;
  return { ...root, usage: known.reduce((sum, { usage }) => sum + usage!, 0) };
}

function nodeOf({ cgroup, depth, snapshot, leftOut }: CgroupTree, deeper: number): Node {
  const { max } = snapshot.limits;
  const kills = snapshot.subtree.oomKill ?? snapshot.local.oomKill;
  return {
    name: nameOf(cgroup.path, depth),
    path: printable(cgroup.path),
    depth: depth + deeper,
    usage: snapshot.usage ?? null,
    working: workingSet(snapshot) ?? null,
    limit: max === undefined || max === Infinity ? null : max,
    kills: kills === undefined ? null : Number(kills),
    leftOut,
  };
}

/** A container is known by the first twelve digits of its id. */
function nameOf(path: string, depth: number): string {
  const name = depth === 0 ? path : path.slice(path.lastIndexOf("/") + 1);
  const { containerId } = identify(path);
  return printable(
    containerId && /^[0-9a-f]{64}$/.test(containerId)
      ? name.replace(containerId, containerId.slice(0, 12))
      : name,
  );
}
