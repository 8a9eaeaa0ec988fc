/**
 * Checks the architecture: which room may import which, what is pure, where the process may be touched, that no imports form
 * a circle, and that only core/cgroup asks for the cgroup version. `deno task layers` prints one line per offence; the rules
 * are the tables below.
 */

import { dirname, join, normalize } from "node:path";
import { printLine, run } from "./terminal.ts";

interface Room {
  /** A directory, or one file of it with rules of its own; the first match counts. */
  readonly at: string;
  /** The rooms that it may import from, besides itself. */
  readonly imports: readonly string[];
  /** Neither `Deno` nor a package that reaches out of the process. */
  readonly pure?: true;
}

const aloneNouns = [
  "core/errors.ts",
  "core/names.ts",
  "core/omit_undefined.ts",
  "core/cgroup_path.ts",
  "core/figures.js",
];
const nouns = ["core/snapshot.ts", ...aloneNouns];
const tools = ["core/suggest.ts", "core/timing.ts", "core/bounded_queue.ts"];
const pureRooms = ["core/parse", "core/policy", ...tools, ...nouns];
const sharedRooms = ["cgroup", "kernel", "watch", "control", "events", "record"]
  .map((room) => `core/${room}`);

export const rooms: readonly Room[] = [
  { at: "core/snapshot.ts", imports: ["core/cgroup/fields.ts"], pure: true },
  ...["core/cgroup/fields.ts", ...aloneNouns, ...tools].map((at): Room => ({
    at,
    imports: [],
    pure: true,
  })),
  { at: "core/parse", imports: nouns, pure: true },
  { at: "core/policy", imports: ["core/suggest.ts", ...nouns], pure: true },
  { at: "core/kernel/clock.ts", imports: ["core/kernel"] },
  { at: "core/kernel", imports: ["core/errors.ts", "core/names.ts"] },
  ...["v1.ts", "v2.ts", "identity.ts"].map((file): Room => ({
    at: `core/cgroup/${file}`,
    imports: ["core/cgroup", ...pureRooms],
    pure: true,
  })),
  { at: "core/cgroup", imports: [...pureRooms, "core/kernel"] },
  { at: "core/events", imports: [...pureRooms, "core/cgroup"] },
  ...["format.ts", "line_schemas.ts", "decisions.ts", "version.ts"].map((file): Room => ({
    at: `core/record/${file}`,
    imports: ["core/record", ...pureRooms, "core/events"],
    pure: true,
  })),
  {
    at: "core/record",
    imports: [...pureRooms, "core/cgroup", "core/kernel/clock.ts", "core/events"],
  },
  { at: "core/picture/page_script.ts", imports: ["core/picture", "core/figures.js"] },
  {
    at: "core/picture",
    imports: ["core/record/format.ts", "core/figures.js", "core/cgroup_path.ts"],
    pure: true,
  },
  { at: "core/collect", imports: [...pureRooms, "core/cgroup"] },
  { at: "core/receivers/prometheus/text.ts", imports: [], pure: true },
  { at: "core/receivers/prometheus/listen.ts", imports: nouns, pure: true },
  {
    at: "core/receivers",
    imports: [...pureRooms, "core/cgroup", "core/collect", "core/control", "core/events"],
  },
  {
    at: "core/watch",
    imports: [...pureRooms, "core/cgroup", "core/kernel", "core/record", "core/events"],
  },
  {
    at: "core/history",
    imports: [
      ...pureRooms,
      ...["cgroup", "kernel", "watch", "record", "events"].map((room) => `core/${room}`),
    ],
  },
  { at: "core/control", imports: [...pureRooms, "core/cgroup", "core/kernel"] },
  { at: "core/guard", imports: [...pureRooms, ...sharedRooms] },
  {
    at: "core/status/format.ts",
    imports: [],
    pure: true,
  },
  {
    at: "core/status/activity.ts",
    imports: ["core/status", ...pureRooms, "core/events"],
    pure: true,
  },
  {
    at: "core/status",
    imports: [
      ...pureRooms,
      ...["cgroup", "control", "events", "guard"].map((room) => `core/${room}`),
    ],
  },
  { at: "core/simulate", imports: [...pureRooms, ...sharedRooms] },
  {
    at: "cli",
    imports: [
      ...pureRooms,
      ...sharedRooms.filter((at) => at !== "core/kernel"),
      ...["guard", "simulate", "history", "status", "receivers", "collect", "picture"].map((room) =>
        `core/${room}`
      ),
    ],
  },
];

/** Packages that belong to one room; `tests` for packages that the program must not need. */
const packageHomes: Readonly<Record<string, string>> = {
  "commander": "cli",
  "@commander-js/extra-typings": "cli",
  "ajv": "tests",
  "fast-check": "tests",
  "@sinonjs/fake-timers": "tests",
};

/** Packages that a pure room may import. */
const purePackages = ["node:path", "valibot"];

/** Names with one home: `core/kernel` is the only unsafe room, `cli/main.ts` the process shell. */
const homes: readonly { readonly name: string; readonly home: string }[] = [
  { name: "Deno.dlopen", home: "core/kernel" },
  { name: "Deno.UnsafePointer", home: "core/kernel" },
  { name: "Deno.UnsafeCallback", home: "core/kernel" },
  { name: "Deno.exit", home: "cli/main.ts" },
  { name: "Deno.args", home: "cli/main.ts" },
];

/** File names that say nothing about their content. */
const emptyNames = ["mod.ts", "utils.ts", "util.ts", "types.ts", "common.ts", "helpers.ts"];

const checkedDirectories = ["cli", "core", "tests", "scripts"];

/** @param files text by path; the path is relative to the project's directory. @returns one line per offence. */
export function offences(files: Readonly<Record<string, string>>): string[] {
  const perFile = Object.entries(files).flatMap(([path, text]) => [
    ...nameOffences(path),
    ...lines(path, text).flatMap(({ where, code, imported }) => [
      ...imported.flatMap((specifier) => importOffences(path, where, specifier)),
      ...homeOffences(path, where, code),
      ...versionOffences(path, where, code),
    ]),
  ]);
  return [...perFile, ...circleOffences(files)];
}

/** Only core/cgroup knows two versions; everything else asks for a capability. */
const versionTest =
  /\b(version|hierarchy)(\.number)?\s*[!=]==?\s*[12]\b|\b[12]\s*[!=]==?\s*version\b|\bisV[12]\b/;

function versionOffences(path: string, where: string, code: string): string[] {
  const isProgram = path.startsWith("core/") || path.startsWith("cli/");
  if (!isProgram || path.startsWith("core/cgroup/") || !versionTest.test(code)) return [];
  return [`${where}: asks for the cgroup version; ask for a capability of core/cgroup/version.ts`];
}

/** Groups of files that import each other, directly or not; imports of types and dynamic imports count. */
function circleOffences(files: Readonly<Record<string, string>>): string[] {
  const imports = new Map(
    Object.entries(files).map(([path, text]) => [
      path,
      lines(path, text).flatMap(({ imported }) => imported)
        .filter((specifier) => specifier.startsWith("."))
        .map((specifier) => normalize(join(dirname(path), specifier)))
        .filter((target) => target in files),
    ]),
  );
  const reached = new Map([...imports.keys()].map((path) => {
    const found = new Set(imports.get(path)!);
    for (const each of found) for (const target of imports.get(each)!) found.add(target);
    return [path, found];
  }));
  const circles = Map.groupBy(
    [...reached.keys()].filter((path) => reached.get(path)!.has(path)),
    (path) =>
      [...reached.get(path)!].filter((each) => reached.get(each)!.has(path)).sort().join(", "),
  );
  return [...circles].filter(([, paths]) => paths.length > 1)
    .map(([names, paths]) => `${paths.sort()[0]}:1: imports form a circle: ${names}`);
}

function nameOffences(path: string): string[] {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (!emptyNames.includes(name)) return [];
  return [`${path}:1: the name says nothing; name it after the one thing that it holds`];
}

function importOffences(path: string, where: string, specifier: string): string[] {
  const room = roomOf(path);
  if (room === undefined) return [];
  if (!/^\.{0,2}\//.test(specifier)) return packageOffences(room, where, specifier);
  const target = normalize(join(dirname(path), specifier));
  const targetRoom = roomOf(target);
  if (targetRoom === undefined) {
    if (target.startsWith("tests/") || target.startsWith("scripts/") || target.startsWith("../")) {
      return [`${where}: ${room.at} imports ${target}; the program must not need it`];
    }
    return [];
  }
  // A file with rules of its own is still part of the directory around it.
  const itself = targetRoom === room || targetRoom.at.startsWith(`${room.at}/`);
  if (itself || room.imports.some((at) => targetRoom.at === at || target.startsWith(`${at}/`))) {
    return [];
  }
  const right = room.imports.length === 0 ? "nothing" : room.imports.join(", ");
  return [`${where}: ${room.at} imports ${target}; besides itself it may import ${right}`];
}

function packageOffences(room: Room, where: string, specifier: string): string[] {
  const home = packageHomes[specifier];
  if (home !== undefined && !room.at.startsWith(home)) {
    return [`${where}: ${room.at} imports ${specifier}; it belongs to ${home}`];
  }
  if (room.pure && !purePackages.includes(specifier)) {
    const right = `only ${purePackages.join(" and ")}, or a directory that is not pure`;
    return [`${where}: ${room.at} is pure and imports ${specifier}; ${right}`];
  }
  return [];
}

function homeOffences(path: string, where: string, code: string): string[] {
  const room = roomOf(path);
  if (room === undefined) return [];
  if (room.pure && /\bDeno\b/.test(code)) {
    return [
      `${where}: ${room.at} is pure and names Deno; let the caller do it and pass the result`,
    ];
  }
  return homes.flatMap(({ name, home }) => {
    if (!new RegExp(`\\b${name.replace(".", "\\.")}`).test(code)) return [];
    if (path === home || path.startsWith(`${home}/`)) return [];
    return [`${where}: ${name} in ${room.at}; it belongs to ${home}`];
  });
}

function roomOf(path: string): Room | undefined {
  return rooms.find(({ at }) => path === at || path.startsWith(`${at}/`));
}

/** Comments, strings, templates, and regular expressions as far as the text before tells them from a division. */
const token =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`|(?<=[(,=:[!&|?{};\n]\s*)\/(?![*\/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//g;

const importForms =
  /\bfrom\s*("[^"\n]*")|\bimport\s*\(?\s*("[^"\n]*")|\bnew URL\(\s*("[^"\n]*\.ts")/g;

/** Line by line: the code without comments and strings, and what is imported there. */
function lines(path: string, text: string) {
  const blank = (part: string) => part.replace(/[^\n]/g, " ");
  const bare = text.replaceAll(token, (part) => /^["'`]/.test(part) ? part : blank(part));
  const imported = new Map<number, string[]>();
  for (const match of bare.matchAll(importForms)) {
    const line = bare.slice(0, match.index + match[0].length).split("\n").length - 1;
    const specifier = (match[1] ?? match[2] ?? match[3] ?? "").slice(1, -1);
    imported.set(line, [...imported.get(line) ?? [], specifier]);
  }
  const code = text.replaceAll(token, (part) => part.startsWith("`") ? part : blank(part));
  return code.split("\n").map((line, index) => ({
    where: `${path}:${index + 1}`,
    code: line,
    imported: imported.get(index) ?? [],
  }));
}

/** @returns the text of all files of this directory, by path. */
export function sources(directory: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { name, isDirectory } of Deno.readDirSync(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) Object.assign(found, sources(path));
    else if (/\.[jt]s$/.test(name)) found[path] = Deno.readTextFileSync(path);
  }
  return found;
}

if (import.meta.main) {
  await run("layers", () => {
    Deno.chdir(new URL("..", import.meta.url));
    const files = Object.assign({}, ...checkedDirectories.map(sources));
    const found = offences(files).sort();
    found.forEach(printLine);
    return found.length === 0 ? 0 : 1;
  });
}
