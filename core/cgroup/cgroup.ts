/** One memory cgroup, identified by path and inode. It may be removed at any time, which is not an error. */

import { parentPath } from "../cgroup_path.ts";
import { parseSize } from "../parse/cgroupfs.ts";
import type { Counters, Pressure, Snapshot } from "../snapshot.ts";
import { filesOf, KEYED_FILES, STATS } from "./fields.ts";
import {
  inodeOf,
  linksOf,
  listAllDirectories,
  listDirectories,
  readRegularText,
  readText,
  tryListAllDirectories,
  tryListDirectories,
  tryReadRegularText,
  tryReadText,
  unlessRefused,
} from "./files.ts";
import { directoryOf, type Hierarchy, join } from "./hierarchy.ts";
import { type MachineFiles, readMachineUsage } from "./machine.ts";
import type { ReadFile } from "./version.ts";

export interface Cgroup {
  readonly hierarchy: Hierarchy;
  /** As in the kernel: "/kubepods/burstable/…". */
  readonly path: string;
  readonly dir: string;
  readonly inode: number;
  /** It stands for the machine: its limit and its usage are those of these files, and every process is in it. */
  readonly machine?: MachineFiles;
}

/** linux/limits.h, PATH_MAX with its NUL, less room for the longest name of a control file. */
const MAX_DIR_BYTES = 4096 - 64;

/**
 * `undefined` if there is no such cgroup, or if it is not visible. Cgroups may be nested until the innermost has a path that is
 * too long for its files to be read: those count as not visible.
 */
export function openCgroup(hierarchy: Hierarchy, path: string): Cgroup | undefined {
  const dir = directoryOf(hierarchy, path);
  const inode = dir === undefined || isTooLong(dir) ? undefined : inodeOf(dir, hierarchy.device);
  return inode === undefined ? undefined : { hierarchy, path, dir: dir!, inode };
}

/** In UTF-8 a UTF-16 code unit takes at most three bytes. */
const isTooLong = (dir: string): boolean =>
  3 * dir.length > MAX_DIR_BYTES && new TextEncoder().encode(dir).length > MAX_DIR_BYTES;

/** False if the cgroup was removed, even if there is a new one with the same path. */
export const isThere = ({ dir, inode, hierarchy }: Cgroup): boolean =>
  inodeOf(dir, hierarchy.device) === inode;

/** {@link isThere}; true where that cannot be found out, because a refused access does not mean that the cgroup was removed. */
export const mayBeThere = (cgroup: Cgroup): boolean => unlessRefused(() => isThere(cgroup)) ?? true;

/** memory.stat alone takes as long to read as all that a summary needs. */
const DETAIL_FILES: ReadonlySet<string> = new Set([...filesOf(STATS), "memory.pressure"]);

/**
 * Limits, usage, counters and flags, which are read of every new cgroup; neither `stats` nor pressure. `undefined` if the
 * cgroup is gone. Throws `OomkitError` if a file may not be read.
 */
export function readSummary(cgroup: Cgroup): Snapshot | undefined {
  const read = reader(cgroup);
  const summary = cgroup.hierarchy.version.snapshot((name) =>
    DETAIL_FILES.has(name) ? undefined : read(name)
  );
  return isThere(cgroup) ? summary : undefined;
}

/** `undefined` if the cgroup is gone. */
export function readCounters(
  cgroup: Cgroup,
): { readonly local: Counters; readonly subtree: Counters } | undefined {
  const counters = cgroup.hierarchy.version.counters(reader(cgroup));
  return isThere(cgroup) ? counters : undefined;
}

/** The cgroup's own limit in bytes; `undefined` if it is gone or has no such file, like a v2 root. */
export const readLimit = (cgroup: Cgroup): number | undefined =>
  cgroup.hierarchy.version.limit(reader(cgroup));

/** `undefined` if the cgroup is gone or there is no PSI. */
export const readPressure = (cgroup: Cgroup): Pressure | undefined =>
  cgroup.hierarchy.version.pressure(reader(cgroup));

/** Bytes, of the cgroup and everything below it; `undefined` if it is gone. */
export const readUsage = (cgroup: Cgroup): number | undefined =>
  cgroup.machine
    ? readMachineUsage(cgroup.machine)?.usage
    : parseSize(reader(cgroup)(cgroup.hierarchy.version.usageFile));

/** The highest usage so far, in bytes; `undefined` if the kernel does not record it (v2 before 5.19, and of the machine). */
export const readPeak = (cgroup: Cgroup): number | undefined =>
  cgroup.machine ? undefined : parseSize(reader(cgroup)(cgroup.hierarchy.version.peakFile));

/** The text of a control file; `undefined` if there is none. Throws `OomkitError` if it may not be read. */
export const readControl = ({ dir, hierarchy }: Cgroup, name: string): string | undefined =>
  (hierarchy.kernel ? readText : readRegularText)(`${dir}/${name}`);

/** Like {@link readControl}, but a file that may not be read counts as absent. */
export const tryReadControl = ({ dir, hierarchy }: Cgroup, name: string): string | undefined =>
  (hierarchy.kernel ? tryReadText : tryReadRegularText)(`${dir}/${name}`);

/**
 * v2: reading cgroup.procs of a threaded cgroup fails (EOPNOTSUPP); its processes are listed in the domain above it
 * (cgroup-v2.rst, Threads).
 */
export const isThreaded = (cgroup: Cgroup): boolean =>
  tryReadControl(cgroup, "cgroup.type")?.trim() === "threaded";

/** For optional data, of all files or of some: a file that may not be read, or that no kernel wrote, counts as absent. */
export function tryReadSnapshot(cgroup: Cgroup, files?: readonly string[]): Snapshot {
  const read = tryReader(cgroup);
  return cgroup.hierarchy.version.snapshot((name) =>
    files?.includes(name) === false ? undefined : read(name)
  );
}

/** Reads one file like {@link tryReadSnapshot}. */
export const tryReader = (cgroup: Cgroup): ReadFile => (name) =>
  validOnly(name, tryReadControl(cgroup, name));

const reader = (cgroup: Cgroup): ReadFile => (name) => validOnly(name, readControl(cgroup, name));

/** The first digits of a limit are a limit that is already exceeded, so an invalid text counts as unknown. */
const validOnly = (name: string, text: string | undefined): string | undefined =>
  text === undefined || invalidReason(name, text) !== undefined ? undefined : text;

/** Empty without processes, with PSI disabled, or with no controller enabled. */
const MAY_BE_EMPTY = /^(cgroup\.procs|memory\.pressure|cgroup\.(controllers|subtree_control))$/;
const KEYED_ROW = /^\S+ (\d+$|avg10=\d)/m;
/** Searched for, because a match of the whole text would remember each of 100,000 lines. */
const NOT_PIDS = /[^\d\n]|\d{11}|\n\n|^\n/;

/**
 * Why the text of a control file cannot be trusted; `undefined` if it can. An empty, torn or invalid text that no kernel wrote
 * must not pass for a number.
 */
export function invalidReason(name: string, text: string): string | undefined {
  if (text === "") return MAY_BE_EMPTY.test(name) ? undefined : "it is empty";
  if (!text.endsWith("\n")) return "it is cut off: its last line has no newline";
  if (name === "cgroup.procs") return NOT_PIDS.test(text) ? "it lists more than pids" : undefined;
  // One valid row is enough: a future kernel may add rows of another form.
  if (name === "memory.pressure" || KEYED_FILES.has(name)) {
    return KEYED_ROW.test(text) ? undefined : "no line of it is a key and a number";
  }
  const value = text.trim();
  if (/^(\d{1,20}|max)$/.test(value)) return undefined;
  return `"${value.slice(0, 20)}" is not a size`;
}

export function parentOf(cgroup: Cgroup): Cgroup | undefined {
  if (cgroup.path === cgroup.hierarchy.root) return undefined;
  return openCgroup(cgroup.hierarchy, parentPath(cgroup.path));
}

/** From the parent up to the topmost visible cgroup. */
export function ancestorsOf(cgroup: Cgroup): Cgroup[] {
  const chain: Cgroup[] = [];
  for (let at = parentOf(cgroup); at; at = parentOf(at)) chain.push(at);
  return chain;
}

/** Those of its ancestors that exist, from the nearest one up, also where it does not exist itself. */
export function existingAncestorsOf({ hierarchy, path }: Cgroup): Cgroup[] {
  const found: Cgroup[] = [];
  for (let at = path; at !== hierarchy.root && at !== "/";) {
    at = parentPath(at);
    const cgroup = openCgroup(hierarchy, at);
    if (cgroup) found.push(cgroup);
  }
  return found;
}

/**
 * Whether what is in its children is charged to it, and killed at its limit. On v1 before Linux 5.11 only where
 * memory.use_hierarchy is 1, as systemd sets it at the root (mm/memcontrol.c, mem_cgroup_css_alloc and mem_cgroup_iter). The root
 * has everything, and no limit.
 */
function chargesChildren(cgroup: Cgroup): boolean {
  const file = cgroup.hierarchy.version.hierarchyFile;
  return file === undefined || cgroup.path === "/" || tryReadControl(cgroup, file)?.trim() !== "0";
}

/** {@link ancestorsOf} without those that it is not charged to: their limits do not apply. */
export function chargedAncestorsOf(cgroup: Cgroup): Cgroup[] {
  const all = ancestorsOf(cgroup);
  const end = all.findIndex((ancestor) => !chargesChildren(ancestor));
  return end < 0 ? all : all.filter(({ path }, at) => at < end || path === "/");
}

/** The cgroups with processes that can be killed at its limit: itself and everything below it that is charged to it. */
export const walkCharged = (cgroup: Cgroup, children = childrenOf): Iterable<Cgroup> =>
  chargesChildren(cgroup) ? walk(cgroup, Infinity, new Set(), children) : [cgroup];

/** Sorted by name; empty if the cgroup is gone or may not be listed. Throws `OomkitError` if a child may not be accessed. */
export const childrenOf = (cgroup: Cgroup): Cgroup[] =>
  namesIn(cgroup, tryListDirectories, tryListAllDirectories).flatMap((name) =>
    openChild(cgroup, name) ?? []
  );

/** Like {@link childrenOf}, without the children that may not be accessed. */
export const accessibleChildrenOf = (cgroup: Cgroup): Cgroup[] =>
  namesIn(cgroup, tryListDirectories, tryListAllDirectories).flatMap((name) =>
    unlessRefused(() => openChild(cgroup, name)) ?? []
  );

/** Like {@link childrenOf}; throws `OomkitError` also if the cgroup may not be listed. */
const allChildrenOf = (cgroup: Cgroup): Cgroup[] =>
  namesIn(cgroup, listDirectories, listAllDirectories).flatMap((name) =>
    openChild(cgroup, name) ?? []
  );

const openChild = ({ hierarchy, path }: Cgroup, name: string): Cgroup | undefined =>
  openCgroup(hierarchy, join(path, name));

type ListDirectories = (dir: string) => string[] | undefined;

/** Sorted. @param list leaves out names that are not UTF-8, as Deno does. */
function namesIn(
  { dir, hierarchy }: Cgroup,
  list: ListDirectories,
  listAll: ListDirectories,
): string[] {
  // Most cgroups are leaves, and listing the files of one takes seven times as long as reading its link count.
  const links = hierarchy.kernel ? linksOf(dir) : undefined;
  if (links === 2) return [];
  const names = list(dir) ?? [];
  const isIncomplete = links !== undefined && names.length < links - 2;
  return (isIncomplete ? listAll(dir) ?? names : names).sort();
}

/**
 * The cgroup and everything below it, parents first and each once; leaves out what is removed meanwhile.
 *
 * @param met the inodes so far: a bind mount since discovery shows a cgroup a second time.
 */
export function* walk(
  cgroup: Cgroup,
  depth = Infinity,
  met: Set<number> = new Set(),
  children = childrenOf,
): Generator<Cgroup> {
  if (met.has(cgroup.inode)) return;
  met.add(cgroup.inode);
  yield cgroup;
  if (depth <= 0) return;
  for (const child of children(cgroup)) yield* walk(child, depth - 1, met, children);
}

/** {@link walk} without what may not be accessed. */
export const walkAccessible = (cgroup: Cgroup): Iterable<Cgroup> =>
  walk(cgroup, Infinity, new Set(), accessibleChildrenOf);

/** All that {@link walk} yields; `undefined` if some of it may not be listed or accessed. */
export const tryListSubtree = (cgroup: Cgroup): Cgroup[] | undefined =>
  unlessRefused(() => [...walk(cgroup, Infinity, new Set(), allChildrenOf)]);
