/** What the documents refer to is there: files, headings, tasks and scripts. */

import assert from "node:assert/strict";
import { dirname, join, normalize } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { isThere } from "../helpers/is_there.ts";

const root = new URL("../..", import.meta.url).pathname;

function documentsIn(directory: string): string[] {
  return [...Deno.readDirSync(join(root, directory))].flatMap(({ name, isDirectory }) => {
    const path = join(directory, name);
    if (!isDirectory) return name.endsWith(".md") ? [path] : [];
    return ["docs", "deploy"].includes(path) || directory !== "." ? documentsIn(path) : [];
  });
}

const documents = new Map(
  documentsIn(".").map((path) => [path, Deno.readTextFileSync(join(root, path))]),
);

const withoutCode = (text: string) => text.replace(/^( *)```[\s\S]*?^ *```$/gm, "");

/** As GitHub makes them: lower case, punctuation left out, spaces become hyphens, a number for a repetition. */
function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const [, heading] of withoutCode(text).matchAll(/^#+ (.+)$/gm)) {
    const name = heading!.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M} _-]/gu, "").replaceAll(" ", "-");
    let free = name;
    for (let n = 1; anchors.has(free); n++) free = `${name}-${n}`;
    anchors.add(free);
  }
  return anchors;
}

Deno.test("every link in the documents leads to a file, and its fragment to a heading", () => {
  const wrong: string[] = [];
  for (const [path, text] of documents) {
    for (const [, target] of withoutCode(text).matchAll(/\]\(([^()\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      const [file = "", fragment] = target!.split("#");
      const at = file === "" ? path : normalize(join(dirname(path), file));
      if (!isThere(join(root, at))) wrong.push(`${path}: ${target}`);
      else if (fragment !== undefined && !anchorsOf(documents.get(at) ?? "").has(fragment)) {
        wrong.push(`${path}: ${target}: no such heading`);
      }
    }
  }
  assert.ok(documents.size > 10);
  assert.deepEqual(wrong, []);
});

Deno.test("every task, script and test that the documents name is there", () => {
  const wrong: string[] = [];
  const history = "CHANGELOG.md";
  for (const [path, text] of [...documents].filter(([path]) => path !== history)) {
    for (const [, task] of text.matchAll(/\bdeno task ([\w:-]*\w)/g)) {
      if (!Object.hasOwn(config.tasks, task!)) wrong.push(`${path}: deno task ${task}`);
    }
    for (const [, task] of text.matchAll(/`(bench:[\w-]+)/g)) {
      if (!Object.hasOwn(config.tasks, task!)) wrong.push(`${path}: ${task}`);
    }
    for (
      const [, file] of text.matchAll(
        /(?<![\w/.-])((?:scripts|tests|deploy|core|cli)\/[\w./-]*\w)/g,
      )
    ) {
      if (!isThere(join(root, file!)) && !isThere(join(root, dirname(path), file!))) {
        wrong.push(`${path}: ${file}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});
