/**
 * Holds the program to its rooms: who may import whom, what is pure, where the process may be touched, how long a file
 * may get. `deno task layers` prints one line per offence; the rules are the tables below.
 */

import { dirname, join, normalize } from "node:path";
import { run, say } from "./terminal.ts";

interface Room {
  /** A folder, or one file of it where that has rules of its own; the first room that fits counts. */
  readonly at: string;
  /** The rooms that it may import from, besides itself. */
  readonly imports: readonly string[];
  /** Neither `Deno` nor a package that reaches out of the process. */
  readonly pure?: true;
}

const nouns = ["core/snapshot.ts", "core/errors.ts", "core/names.ts"];
const pureRooms = ["core/parse", "core/policy", ...nouns];
const actingRooms = [
  "core/cgroup",
  "core/kernel",
  "core/watch",
  "core/act",
  "core/report",
  "core/record",
];
const programs = ["core/guard", "core/simulate", "core/kubernetes"];

export const rooms: readonly Room[] = [
  { at: "core/snapshot.ts", imports: ["core/errors.ts"], pure: true },
  { at: "core/errors.ts", imports: [], pure: true },
  { at: "core/names.ts", imports: [], pure: true },
  { at: "core/parse", imports: nouns, pure: true },
  { at: "core/policy", imports: nouns, pure: true },
  { at: "core/kernel/clock.ts", imports: ["core/kernel"] },
  { at: "core/kernel", imports: ["core/errors.ts", "core/names.ts"] },
  { at: "core/cgroup/v1.ts", imports: ["core/cgroup", ...pureRooms], pure: true },
  { at: "core/cgroup/v2.ts", imports: ["core/cgroup", ...pureRooms], pure: true },
  { at: "core/cgroup/identity.ts", imports: ["core/cgroup", ...pureRooms], pure: true },
  { at: "core/cgroup", imports: [...pureRooms, "core/kernel"] },
  { at: "core/report", imports: [...pureRooms, "core/cgroup"] },
  {
    at: "core/record/format.ts",
    imports: ["core/record", ...pureRooms, "core/report"],
    pure: true,
  },
  {
    at: "core/record/line_check.ts",
    imports: ["core/record", ...nouns],
    pure: true,
  },
  {
    at: "core/record",
    imports: [...pureRooms, "core/cgroup", "core/kernel/clock.ts", "core/report"],
  },
  { at: "core/picture/page_script.ts", imports: ["core/picture"] },
  {
    at: "core/picture",
    imports: ["core/picture", "core/record/format.ts"],
    pure: true,
  },
  { at: "core/metrics/text.ts", imports: ["core/metrics"], pure: true },
  { at: "core/metrics/listen.ts", imports: ["core/metrics", ...nouns], pure: true },
  { at: "core/metrics", imports: [...pureRooms, "core/cgroup", "core/report"] },
  {
    at: "core/watch",
    imports: [...pureRooms, "core/cgroup", "core/kernel", "core/record", "core/report"],
  },
  { at: "core/act", imports: [...pureRooms, "core/cgroup", "core/kernel"] },
  { at: "core/guard", imports: [...pureRooms, ...actingRooms] },
  { at: "core/simulate", imports: [...pureRooms, ...actingRooms] },
  { at: "core/kubernetes", imports: ["core/errors.ts", "core/report"] },
  {
    at: "cli",
    imports: [
      ...pureRooms,
      ...actingRooms.filter((at) => at !== "core/kernel"),
      ...programs,
      "core/metrics",
      "core/picture",
    ],
  },
];

/** Packages that belong to one room; `tests` for those that the program itself must not need. */
const packageHomes: Readonly<Record<string, string>> = {
  "commander": "cli",
  "@commander-js/extra-typings": "cli",
  "ajv": "tests",
  "fast-check": "tests",
  "@sinonjs/fake-timers": "tests",
};

/** What a pure room may import that is not the project's own. */
const purePackages = ["node:path", "valibot"];

/** What may be named only in one place: `core/kernel` is the one unsafe room, `cli/main.ts` the process shell. */
const homes: readonly { readonly name: string; readonly home: string }[] = [
  { name: "Deno.dlopen", home: "core/kernel" },
  { name: "Deno.UnsafePointer", home: "core/kernel" },
  { name: "Deno.UnsafeCallback", home: "core/kernel" },
  { name: "Deno.exit", home: "cli/main.ts" },
  { name: "Deno.args", home: "cli/main.ts" },
];

const maximumLines = 300;

/** A module is named after what it holds. */
const emptyNames = ["mod.ts", "utils.ts", "util.ts", "types.ts", "common.ts", "helpers.ts"];

const checkedFolders = ["cli", "core", "tests", "scripts"];

/** @param files text by path; the path is relative to the project's folder. @returns one line per offence. */
export function offences(files: Readonly<Record<string, string>>): string[] {
  return Object.entries(files).flatMap(([path, text]) => [
    ...lengthOffences(path, text),
    ...nameOffences(path),
    ...lines(path, text).flatMap(({ where, code, imported }) => [
      ...imported.flatMap((specifier) => importOffences(path, where, specifier)),
      ...homeOffences(path, where, code),
    ]),
  ]);
}

function lengthOffences(path: string, text: string): string[] {
  const count = text.split("\n").length - 1;
  if (count <= maximumLines) return [];
  return [
    `${path}:${
      maximumLines + 1
    }: has ${count} lines; part it so that none has over ${maximumLines}`,
  ];
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
  // A file with rules of its own is still part of the folder around it.
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
    const right = `only ${purePackages.join(" and ")}, or a folder that is not pure`;
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

/** Comments, strings, templates, and regular expressions, as far as what stands before can tell them from a division. */
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

function sources(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) Object.assign(found, sources(path));
    else if (name.endsWith(".ts")) found[path] = Deno.readTextFileSync(path);
  }
  return found;
}

if (import.meta.main) {
  await run("layers", () => {
    Deno.chdir(new URL("..", import.meta.url));
    const found = checkedFolders.flatMap((folder) => offences(sources(folder))).sort();
    found.forEach(say);
    return found.length === 0 ? 0 : 1;
  });
}
