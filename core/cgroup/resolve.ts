/** Resolves a target to cgroups: paths, globs, `pid:`, `unit:`, `pod:`, container ids and runc names. */

import { resolve as resolvePath } from "node:path";
import { isInSubtree } from "../cgroup_path.ts";
import { OomkitError, shortened } from "../errors.ts";
import { isOutsideNamespace, mayBeRemoved, parseProcStat } from "../parse/procfs.ts";
import { type Cgroup, openCgroup, walk } from "./cgroup.ts";
import { deviceOf, exists, listDirectories, realPath, tryReadText } from "./files.ts";
import { globBase, globDepth, globToRegExp, isGlob } from "./glob.ts";
import {
  type Hierarchy,
  join,
  memoryLine,
  pathOf,
  readCgroupLines,
  relativeTo,
} from "./hierarchy.ts";
import { identify, unitName, unitPath } from "./identity.ts";
import { suggest } from "../suggest.ts";
import { pidsOf } from "./processes.ts";

/** A shorter prefix is more likely a word than a container id; docker shows 12 digits. */
const CONTAINER_PREFIX = /^[0-9a-f]{4,64}$/;
/** Relative to the working directory, as in a shell. */
const RELATIVE = /^\.\.?(\/|$)/;
const RUNC_STATE = "/run/runc";

/**
 * The cgroups that `target` names; more than one only for a glob.
 * Throws {@link OomkitError} if it names none, is ambiguous, or lies outside the hierarchy.
 */
export function resolveTarget(hierarchy: Hierarchy, target: string): Cgroup[] {
  const [, scheme, rest = ""] = /^(pid|unit|pod|id|runc):(.*)$/s.exec(target) ?? [];
  if (target === "" || (scheme && rest === "")) {
    throw unresolved(target, "it is empty", "give a cgroup");
  }
  const podUid = () => rest.replaceAll("_", "-").toLowerCase();
  if (scheme === "pid") return [byPid(hierarchy, rest)];
  if (scheme === "unit") return [byUnit(hierarchy, rest, target)];
  if (scheme === "pod") return [byIdentity(hierarchy, "podUid", podUid(), target)];
  if (scheme === "id") return [byIdentity(hierarchy, "containerId", rest, target)];
  if (scheme === "runc") return [byRuncName(hierarchy, rest) ?? unknown(hierarchy, target)];
  if (isGlob(target)) return byGlob(hierarchy, target);
  if (target.startsWith("/")) return [byPath(hierarchy, target)];
  if (RELATIVE.test(target)) return [byDirectory(hierarchy, resolvePath(target), target)];
  if (unitName(target) === target && !target.includes("/")) {
    return [byUnit(hierarchy, target, target)];
  }

  const found = open(hierarchy, join(hierarchy.root, plain(target)), target) ??
    byRuncName(hierarchy, target);
  if (found) return [found];
  return CONTAINER_PREFIX.test(target)
    ? [byIdentity(hierarchy, "containerId", target, target)]
    : [unknown(hierarchy, target)];
}

/** This program's own cgroup; `undefined` if it is not visible. */
export function tryOwnCgroup(hierarchy: Hierarchy): Cgroup | undefined {
  const path = hierarchy.own ?? (hierarchy.kernel ? undefined : hierarchy.root);
  return path === undefined ? holderOf(hierarchy, Deno.pid) : openCgroup(hierarchy, path);
}

/** This program's own cgroup. Throws {@link OomkitError} if it is not visible. */
export function ownCgroup(hierarchy: Hierarchy): Cgroup {
  const cgroup = tryOwnCgroup(hierarchy);
  if (cgroup) return cgroup;
  throw new OomkitError(
    `cannot find oomkit's own cgroup: it is not in ${hierarchy.mount}`,
    "give a target",
  );
}

/** `..` would lead out of the hierarchy; the kernel allows no cgroup of that name. */
function safe(path: string): string {
  if (path.split("/").includes("..") || path.includes("\0")) {
    throw unresolved(
      path,
      'a cgroup path has no ".."',
      "write the path from the root of the hierarchy",
    );
  }
  return path;
}

/** Removes empty names and `.`: by another path than its own a cgroup would escape rules for its path. */
function plain(path: string): string {
  const names = safe(path).split("/").filter((name) => name !== "" && name !== ".");
  return `${path.startsWith("/") ? "/" : ""}${names.join("/")}`;
}

/** A tree that is not the kernel's may contain symbolic links that lead out of it. */
function open(hierarchy: Hierarchy, path: string, target: string): Cgroup | undefined {
  const cgroup = openCgroup(hierarchy, path);
  return cgroup && !hierarchy.kernel ? byDirectory(hierarchy, cgroup.dir, target) : cgroup;
}

function byPath(hierarchy: Hierarchy, target: string): Cgroup {
  const path = plain(target);
  if (relativeTo(hierarchy.mount, path) !== undefined) return byDirectory(hierarchy, path, target);
  // If only a part of the hierarchy is mounted, the path may be relative to that part.
  for (const full of [path, join(hierarchy.root, path)]) {
    const cgroup = open(hierarchy, full, target);
    if (cgroup) return cgroup;
    // Not a directory, or a cgroup of another path that is mounted there.
    const relative = relativeTo(hierarchy.root, full);
    const dir = relative === undefined ? undefined : join(hierarchy.mount, relative);
    if (dir !== undefined && exists(dir)) return byDirectory(hierarchy, dir, target);
  }
  return exists(path) ? byDirectory(hierarchy, path, target) : unknown(hierarchy, target);
}

function byDirectory(hierarchy: Hierarchy, dir: string, target: string): Cgroup {
  const real = realPath(dir);
  if (real === undefined) return unknown(hierarchy, target);
  const path = pathOf(hierarchy, real);
  const cgroup = path === undefined ? undefined : openCgroup(hierarchy, path);
  if (cgroup) return cgroup;
  if (deviceOf(real) !== undefined && isInSubtree(real, hierarchy.mount)) {
    throw new OomkitError(
      `cannot use ${target}: it is not a memory cgroup, something else is mounted there`,
      `give a cgroup below ${hierarchy.mount}`,
    );
  }
  if (path === undefined || deviceOf(real) !== undefined) {
    throw new OomkitError(
      `cannot use ${target}: ${real === target ? "it" : real} is outside the memory hierarchy`,
      `give a cgroup below ${hierarchy.mount}`,
    );
  }
  throw new OomkitError(
    `cannot use ${target}: it is not a directory`,
    `give the cgroup itself, such as ${real.slice(0, real.lastIndexOf("/"))}`,
  );
}

interface Glob {
  readonly glob: string;
  /** Matches whole paths. */
  readonly pattern: RegExp;
  /** The cgroup above all that can match; `undefined` if it does not exist. */
  readonly base: Cgroup | undefined;
}

/** `undefined` if `target` is not a glob, or is the exact path of a cgroup. */
export function parseGlob(hierarchy: Hierarchy, target: string): Glob | undefined {
  if (/^(pid|unit|pod|id|runc):/.test(target) || !isGlob(target)) return undefined;
  const named = globNamed(target);
  if (namedByGlob(hierarchy, named)) return undefined;
  const glob = relativeTo(hierarchy.mount, named) !== undefined
    ? pathOf(hierarchy, named) ?? named
    : relativeTo(hierarchy.root, named) !== undefined
    ? named
    : join(hierarchy.root, named);
  const base = openCgroup(hierarchy, safe(globBase(glob)));
  return { glob, pattern: globToRegExp(glob), base };
}

/** The cgroup that has the characters of a glob in its name. */
function namedByGlob(hierarchy: Hierarchy, named: string): Cgroup | undefined {
  const ofDirectory = pathOf(hierarchy, named);
  const paths = [
    join(hierarchy.root, named),
    named,
    ...ofDirectory === undefined ? [] : [ofDirectory],
  ];
  return paths.map((path) => openCgroup(hierarchy, path)).find((cgroup) => cgroup !== undefined);
}

const globNamed = (target: string) => RELATIVE.test(target) ? resolvePath(target) : plain(target);

function byGlob(hierarchy: Hierarchy, target: string): Cgroup[] {
  const parsed = parseGlob(hierarchy, target);
  if (parsed === undefined) return [namedByGlob(hierarchy, globNamed(target))!];
  const { glob, pattern, base } = parsed;
  const depth = globDepth(glob) - globDepth(globBase(glob));
  const found = base ? [...walk(base, depth)].filter(({ path }) => pattern.test(path)) : [];
  if (found.length > 0) return found;
  const hint = base
    ? `look at: oomkit inspect --tree ${base.path}`
    : `there is no ${shortened(globBase(glob))}`;
  throw unresolved(target, "no cgroup matches", hint);
}

function byPid(hierarchy: Hierarchy, text: string): Cgroup {
  const target = `pid:${text}`;
  if (!/^[1-9]\d{0,9}$/.test(text)) {
    throw unresolved(target, "that is not a pid", "give a number, such as pid:4242");
  }
  if (!exists(`/proc/${text}`)) {
    throw unresolved(
      target,
      "there is no such process, or /proc hides it (hidepid, another pid namespace)",
      "find its pid with: pgrep -a NAME",
    );
  }
  const pid = Number(text);
  const path = memoryLine(readCgroupLines(pid), hierarchy.version)?.path;
  if (hierarchy.version.number === 1 && isZombie(pid)) {
    // v1 reports it to be in the root, whatever cgroup it was in (kernel, proc_cgroup_show).
    throw unresolved(target, "the process has ended (a zombie)", "give a cgroup");
  }
  const cgroup = hierarchy.shifted || !hierarchy.kernel
    ? holderOf(hierarchy, pid)
    : path === undefined
    ? undefined
    : openCgroup(hierarchy, path);
  if (cgroup) return cgroup;
  if (path !== undefined && mayBeRemoved(path)) {
    throw unresolved(target, `its cgroup was removed: ${path}`, "the process has ended");
  }
  const [why, hint] = path !== undefined && isOutsideNamespace(path)
    ? ["cannot be seen from this cgroup namespace", "run oomkit outside of it"]
    : [
      `is not visible below ${hierarchy.mount}`,
      "run oomkit where the whole hierarchy is mounted",
    ];
  throw unresolved(target, `its cgroup ${path ?? "(none)"} ${why}`, hint);
}

/** Without a thread that still runs. */
function isZombie(pid: number): boolean {
  const threads = listDirectories(`/proc/${pid}/task`) ?? [];
  return threads.every((thread) => {
    const state = parseProcStat(tryReadText(`/proc/${pid}/task/${thread}/stat`) ?? "")?.state;
    return state === "Z" || state === "X";
  });
}

/** Searches all cgroups, for a hierarchy with other paths than those in /proc/PID/cgroup. */
const holderOf = (hierarchy: Hierarchy, pid: number): Cgroup | undefined =>
  allCgroups(hierarchy).find((cgroup) => pidsOf(cgroup)?.includes(pid));

function byUnit(hierarchy: Hierarchy, unit: string, target: string): Cgroup {
  const name = unitName(unit);
  if (name.includes("/")) return unknown(hierarchy, target);
  const path = hierarchy.kernel ? controlGroup(name) ?? unitPath(name) : unitPath(name);
  const cgroup = openCgroup(hierarchy, join(hierarchy.root, safe(path)));
  if (cgroup) return cgroup;
  const same = [...allCgroups(hierarchy)].filter((c) => c.path.endsWith(`/${name}`));
  if (same.length === 1) return same[0]!;
  if (same.length > 1) return ambiguous(target, same.map((c) => c.path));
  return unknown(hierarchy, target, {
    word: name,
    why: `no cgroup of unit ${shortened(name)}`,
    hint: `is it running? systemctl status ${shortened(unit)}`,
  });
}

/** Asks systemd; `undefined` without systemd, or if the unit is not running. */
function controlGroup(unit: string): string | undefined {
  if (!exists("/run/systemd/system")) return undefined;
  try {
    const { success, stdout } = new Deno.Command("systemctl", {
      args: ["show", "--property=ControlGroup", "--value", "--", unit],
      stdin: "null",
      stderr: "null",
    }).outputSync();
    return success ? new TextDecoder().decode(stdout).trim() || undefined : undefined;
  } catch {
    // No systemctl on this machine: the caller derives the path from the name.
    return undefined;
  }
}

function byIdentity(
  hierarchy: Hierarchy,
  key: "containerId" | "podUid",
  prefix: string,
  target: string,
): Cgroup {
  const outermost = new Map<string, Cgroup>();
  for (const cgroup of allCgroups(hierarchy)) {
    const id = identify(cgroup.path)[key];
    // Parents come first, so that a cgroup made inside the container does not replace the container's own.
    if (id?.startsWith(prefix) && !outermost.has(id)) outermost.set(id, cgroup);
  }
  const exact = outermost.get(prefix);
  if (exact) return exact;
  if (outermost.size === 1) return outermost.values().next().value!;
  if (outermost.size > 1) return ambiguous(target, [...outermost.keys()]);
  if (key === "podUid") {
    const why = `no cgroup of pod ${shortened(prefix)}`;
    return unknown(hierarchy, target, {
      why,
      hint: "does it run on this node? kubectl get pods -A",
    });
  }
  const why = `no cgroup of container ${shortened(prefix)}`;
  return unknown(hierarchy, target, { why, hint: "is it running? crictl ps or docker ps" });
}

function byRuncName(hierarchy: Hierarchy, name: string): Cgroup | undefined {
  const text = /^[\w+.-]+$/.test(name)
    ? tryReadText(`${RUNC_STATE}/${name}/state.json`)
    : undefined;
  if (text === undefined) return undefined;
  try {
    const paths: Record<string, string> = JSON.parse(text).cgroup_paths ?? {};
    const dir = paths["memory"] ?? paths[""];
    const path = dir === undefined ? undefined : pathOf(hierarchy, dir);
    return path === undefined ? undefined : openCgroup(hierarchy, path);
  } catch {
    // Half-written while runc starts the container: it does not exist yet.
    return undefined;
  }
}

function* allCgroups(hierarchy: Hierarchy): Generator<Cgroup> {
  const root = openCgroup(hierarchy, hierarchy.root);
  if (root) yield* walk(root);
}

function ambiguous(target: string, candidates: readonly string[]): never {
  const shown = candidates.slice(0, 5).join(", ");
  const rest = candidates.length > 5 ? ` and ${candidates.length - 5} more` : "";
  throw unresolved(target, `it is ambiguous between ${shown}${rest}`, "give more of the name");
}

const SCHEMES = ["pid", "unit", "pod", "id", "runc"];
const TARGET_HINT = "give a cgroup path, a glob, pid:N, unit:NAME, pod:UID or a container id";

/** @param reported.word is compared with the names of all cgroups; `hint` is for when none is similar. */
function unknown(
  hierarchy: Hierarchy,
  target: string,
  {
    word = target.replace(/^\w+:/, "").replace(/\/+$/, "").split("/").at(-1)!,
    why = `there is no such cgroup below ${hierarchy.mount}`,
    hint = TARGET_HINT,
  } = {},
): never {
  const [, scheme = "", rest] = /^([a-z]+):(.*)$/i.exec(target) ?? [];
  const [meant] = SCHEMES.includes(scheme) ? [] : suggest(scheme, SCHEMES, 1);
  if (meant !== undefined) throw unresolved(target, why, `did you mean ${meant}:${rest}?`);
  const names = new Map<string, string>();
  for (const { path } of allCgroups(hierarchy)) names.set(path.split("/").at(-1)!, path);
  for (const name of hierarchy.kernel ? listDirectories(RUNC_STATE) ?? [] : []) {
    names.set(name, name);
  }
  const near = /^\d{1,10}$/.test(target) && exists(`/proc/${target}`)
    ? [`pid:${target}`]
    : suggest(word, names.keys()).map((name) => names.get(name)!);
  throw unresolved(target, why, near.length > 0 ? `did you mean ${near.join(" or ")}?` : hint);
}

const unresolved = (target: string, why: string, hint?: string) =>
  new OomkitError(`cannot resolve target "${shortened(target)}": ${why}`, hint);
