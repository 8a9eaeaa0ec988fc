/** One memory cgroup: its identity is path and inode, and that it is gone is an ordinary outcome. */

import type { Counters, Pressure, Snapshot } from "../snapshot.ts";
import { invalidReason } from "./validate.ts";
import type { ReadFile } from "./version.ts";
import {
  inodeOf,
  linksOf,
  readRegularText,
  readText,
  tryListAllDirectories,
  tryListDirectories,
  tryReadRegularText,
  tryReadText,
} from "./files.ts";
import { parseBytes } from "../parse/cgroupfs.ts";
import { directoryOf, type Hierarchy, join } from "./hierarchy.ts";

export interface Cgroup {
  readonly hierarchy: Hierarchy;
  /** As the kernel names it: "/kubepods/burstable/…". */
  readonly path: string;
  readonly dir: string;
  readonly inode: number;
}

/** linux/limits.h, PATH_MAX with its NUL, less room for the longest name of a control file. */
const LONGEST_DIR = 4096 - 64;

/**
 * `undefined` when there is no such cgroup, or none that can be seen from here. Whoever may make cgroups can make them one in
 * another until no path is long enough for the innermost: those are not seen, as their files could not be read.
 */
export function openCgroup(hierarchy: Hierarchy, path: string): Cgroup | undefined {
  const dir = directoryOf(hierarchy, path);
  const inode = dir === undefined || isTooLong(dir) ? undefined : inodeOf(dir);
  return inode === undefined ? undefined : { hierarchy, path, dir: dir!, inode };
}

/** In UTF-8 a character has at most three bytes, or four as two. */
function isTooLong(dir: string): boolean {
  return 3 * dir.length > LONGEST_DIR && new TextEncoder().encode(dir).length > LONGEST_DIR;
}

/** False when it was removed, also when another has taken its place. */
export function isThere(cgroup: Cgroup): boolean {
  return inodeOf(cgroup.dir) === cgroup.inode;
}

/** memory.stat alone costs as much as all that an outline is taken from. */
const DETAILS = /^memory\.(stat|pressure|swap\.current|kmem\..*)$/;

/**
 * Limits, usage and counters, which is what is asked for of every cgroup that comes; neither `stats` nor pressure. `undefined`
 * when the cgroup is gone. Throws `OomkitError` when a file may not be read.
 */
export function readSummary(cgroup: Cgroup): Snapshot | undefined {
  const read = reader(cgroup);
  const outline = cgroup.hierarchy.version.snapshot((name) =>
    DETAILS.test(name) ? undefined : read(name)
  );
  return isThere(cgroup) ? outline : undefined;
}

/** `undefined` when the cgroup is gone. */
export function readCounters(
  cgroup: Cgroup,
): { readonly local: Counters; readonly subtree: Counters } | undefined {
  const counters = cgroup.hierarchy.version.counters(reader(cgroup));
  return isThere(cgroup) ? counters : undefined;
}

/** The cgroup's own limit in bytes; `undefined` when it is gone or has no such file, as a v2 root has not. */
export function readLimit(cgroup: Cgroup): number | undefined {
  return cgroup.hierarchy.version.limit(reader(cgroup));
}

/** The cgroup's own pressure; `undefined` when it is gone or there is no PSI. */
export function readPressure(cgroup: Cgroup): Pressure | undefined {
  return cgroup.hierarchy.version.pressure(reader(cgroup));
}

/** Usage in bytes, of this cgroup and everything beneath it; `undefined` when it is gone. */
export function readUsage(cgroup: Cgroup): number | undefined {
  return parseBytes(reader(cgroup)(cgroup.hierarchy.version.usageFile));
}

/** The highest usage ever, in bytes; `undefined` where the kernel does not keep it (v2 before 5.19). */
export function readPeak(cgroup: Cgroup): number | undefined {
  return parseBytes(reader(cgroup)(cgroup.hierarchy.version.peakFile));
}

/** The text of one control file; `undefined` when it is not there. Throws `OomkitError` when it may not be read. */
export function readControl({ dir, hierarchy }: Cgroup, name: string): string | undefined {
  return (hierarchy.kernel ? readText : readRegularText)(`${dir}/${name}`);
}

/** Like {@link readControl}, but what may not be read counts as absent too. */
export function tryReadControl({ dir, hierarchy }: Cgroup, name: string): string | undefined {
  return (hierarchy.kernel ? tryReadText : tryReadRegularText)(`${dir}/${name}`);
}

/** v2: whose cgroup.procs cannot be read (EOPNOTSUPP); its processes are listed in the domain above it (cgroup-v2.rst, Threads). */
export function isThreaded(cgroup: Cgroup): boolean {
  return tryReadControl(cgroup, "cgroup.type")?.trim() === "threaded";
}

/** For what is only nice to know: what may not be read, or is not what a kernel writes, counts as absent. */
export function tryReader(cgroup: Cgroup): ReadFile {
  return (name) => undamaged(name, tryReadControl(cgroup, name));
}

function reader(cgroup: Cgroup): ReadFile {
  return (name) => undamaged(name, readControl(cgroup, name));
}

/** The beginning of a limit is a limit that is met already: what may be torn is unknown. */
function undamaged(name: string, text: string | undefined): string | undefined {
  return text === undefined || invalidReason(name, text) !== undefined ? undefined : text;
}

export function parentOf(cgroup: Cgroup): Cgroup | undefined {
  if (cgroup.path === cgroup.hierarchy.root) return undefined;
  const path = cgroup.path.slice(0, cgroup.path.lastIndexOf("/")) || "/";
  return openCgroup(cgroup.hierarchy, path);
}

/** From the parent up to the topmost that can be seen. */
export function ancestorsOf(cgroup: Cgroup): Cgroup[] {
  const chain: Cgroup[] = [];
  for (let at = parentOf(cgroup); at; at = parentOf(at)) chain.push(at);
  return chain;
}

/** In the order of their names; empty when the cgroup is gone, or may not be looked into. */
export function childrenOf(cgroup: Cgroup): Cgroup[] {
  // Most cgroups are leaves, and to list the files of one takes seven times as long as to look at its links.
  const links = cgroup.hierarchy.kernel ? linksOf(cgroup.dir) : undefined;
  if (links === 2) return [];
  return namesIn(cgroup.dir, (links ?? 2) - 2).sort().flatMap((name) =>
    openCgroup(cgroup.hierarchy, join(cgroup.path, name)) ?? []
  );
}

/** @param count how many there are at least. Deno leaves out those that are no UTF-8. */
function namesIn(dir: string, count: number): string[] {
  const names = tryListDirectories(dir) ?? [];
  return names.length < count ? tryListAllDirectories(dir) ?? names : names;
}

/** The cgroup and everything beneath it, parents first; what vanishes meanwhile is left out. */
export function* walk(cgroup: Cgroup, depth = Infinity): Generator<Cgroup> {
  yield cgroup;
  if (depth > 0) { for (const child of childrenOf(cgroup)) yield* walk(child, depth - 1); }
}
