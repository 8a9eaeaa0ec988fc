/** Targets and globs: any text yields cgroups of the tree, or a refusal in one line. */

import assert from "node:assert/strict";
import { globBase, globDepth, globToRegExp, isGlob } from "../../core/cgroup/glob.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { identify, unitPath } from "../../core/cgroup/identity.ts";
import { resolveTarget } from "../../core/cgroup/resolve.ts";
import { OomkitError } from "../../core/errors.ts";
import { makeTree } from "../helpers/trees.ts";
import { fc } from "./cases.ts";

const ID = "3f".repeat(32);
const UID = "01234567-89ab-cdef-0123-456789abcdef";
const SLICE = `/kubepods.slice/kubepods-pod${UID.replaceAll("-", "_")}.slice`;
const paths = [
  "/kubepods.slice",
  SLICE,
  `${SLICE}/cri-containerd-${ID}.scope`,
  "/system.slice",
  "/system.slice/nginx.service",
  "/odd[1]",
  "/a b\u2028c",
  "/esc\x1b[2J",
];

const piece = fc.constantFrom(
  ...paths,
  ...paths.flatMap((path) => path.split("/")),
  ...["pid:", "unit:", "pod:", "id:", "runc:", "/", "..", ".", "*", "**", "?", "[", "]", "[z-a]"],
  ...["3f3f", UID, "-", "_", ".service", ".slice", "@", "\0", "\n", "\x1b[2J", "0", "99999999999"],
);
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join("")),
  fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join("/")),
);

Deno.test("any target yields existing cgroups within the tree, or a refusal", () => {
  using tree = makeTree(2, Object.fromEntries(paths.map((path) => [path, {}])));
  const hierarchy = discover(tree.dir);
  fc.assert(fc.property(text, (target) => {
    let found;
    try {
      found = resolveTarget(hierarchy, target);
    } catch (error) {
      if (!(error instanceof OomkitError)) throw error;
      return;
    }
    assert.ok(found.length > 0);
    for (const { path, dir } of found) {
      assert.ok(path === "/" || paths.includes(path), path);
      assert.ok(dir === tree.dir || dir === `${tree.dir}${path}`, dir);
    }
  }));
});

Deno.test("any text is a pattern, and one without wildcards matches only itself", () => {
  fc.assert(fc.property(text, text, (glob, other) => {
    const pattern = globToRegExp(glob);
    const isMatch = pattern.test(other);
    if (!isGlob(glob)) assert.equal(isMatch, glob === other);
  }));
});

/** The meaning of a glob, by a naive match of one character after the other. */
function isMeant(glob: readonly string[], path: readonly string[]): boolean {
  const [wild, ...rest] = glob;
  if (wild === undefined) return path.length === 0;
  const [first, ...after] = path;
  const isInName = first !== undefined && first !== "/";
  switch (wild) {
    case "*":
      return isMeant(rest, path) || (isInName && isMeant(glob, after));
    case "?":
      return isInName && isMeant(rest, after);
    case "**":
      return first !== undefined && (isMeant(rest, after) || isMeant(glob, after));
    case "**/":
      return isMeant(rest, path) || (path.indexOf("/") > 0 &&
        isMeant(glob, path.slice(path.indexOf("/") + 1)));
    default:
      return first === wild && isMeant(rest, after);
  }
}

Deno.test("a star matches any part of one name and a question mark one character", () => {
  const unit = fc.constantFrom("a", "b", "/", ".", "𝔘", "é", "\n");
  const glob = fc.array(fc.oneof(unit, fc.constantFrom("*", "?")), { maxLength: 8 })
    .filter((glob) => !glob.join("").includes("**"));
  fc.assert(fc.property(glob, fc.array(unit, { maxLength: 8 }), (glob, path) => {
    assert.equal(globToRegExp(glob.join("")).test(path.join("")), isMeant(glob, path));
  }));
});

Deno.test("two stars match any names, and at the end at least one character", () => {
  const unit = fc.constantFrom("a", "b", "*", "?");
  const name = fc.array(unit, { minLength: 1, maxLength: 3 })
    .filter((name) => !name.join("").includes("**"));
  const names = fc.array(fc.oneof(name, fc.constant(["**/"])), { minLength: 1, maxLength: 5 });
  const path = fc.array(fc.stringMatching(/^[abc]{1,3}$/), { minLength: 1, maxLength: 5 });
  fc.assert(fc.property(names, fc.boolean(), path, (names, isOpen, path) => {
    const parts = names.flatMap((name) => name[0] === "**/" ? name : [...name, "/"]);
    const glob = ["/", ...parts, isOpen ? "**" : "a"];
    const text = `/${path.join("/")}`;
    assert.equal(globToRegExp(glob.join("")).test(text), isMeant(glob, [...text]));
  }));
});

Deno.test("a set matches one of its characters, never a slash", () => {
  const member = fc.constantFrom("a", "b", "z", "0", "9", "-", "^", "\\", "é", "𝔘", ".");
  const set = fc.array(member, { minLength: 1, maxLength: 4 }).map((all) => all.join(""));
  fc.assert(fc.property(set, member, fc.boolean(), (set, one, isNot) => {
    fc.pre(!/^[!^]/.test(set) && !/.-./u.test(set));
    const pattern = globToRegExp(`/p[${isNot ? "!" : ""}${set}]`);
    assert.equal(pattern.test(`/p${one}`), [...set].includes(one) !== isNot);
    assert.ok(!pattern.test("/p/"));
  }));
});

Deno.test("all matches of a glob are below the base of the search, and within its depth", () => {
  const name = fc.constantFrom("a", "b", "*", "?", "a*", "**", "[ab]");
  const plain = fc.array(fc.constantFrom("a", "b", "ab"), { minLength: 1, maxLength: 5 });
  const glob = fc.array(name, { minLength: 1, maxLength: 5 }).filter((all) => all.some(isGlob));
  fc.assert(fc.property(glob, plain, (glob, names) => {
    const [text, path] = [`/${glob.join("/")}`, `/${names.join("/")}`];
    if (!globToRegExp(text).test(path)) return;
    const base = globBase(text);
    assert.ok(base === "/" || path.startsWith(`${base}/`), `${text} from ${base}: ${path}`);
    assert.ok(names.length <= globDepth(text), `${text}: ${path}`);
  }));
});

Deno.test("the path of a unit ends with its name and does not lead out, for any name", () => {
  const unit = fc.oneof(
    fc.stringMatching(/^[\w:.\\@-]{1,20}$/),
    fc.constantFrom("-.slice", "--.slice", "a--b.slice", "@.service", "a@.service", "-a.slice"),
  );
  fc.assert(fc.property(unit, (unit) => {
    const path = unitPath(unit);
    assert.ok(path.startsWith("/") && !path.includes("//"), path);
    assert.ok(path === "/" || path.endsWith(`/${unit}`) || path.endsWith(`/${unit}.service`), path);
  }));
});

Deno.test("the identity of any path contains only parts of the path", () => {
  fc.assert(fc.property(text, (path) => {
    const { containerId, podUid, unit } = identify(path);
    assert.ok(containerId === undefined || path.includes(containerId));
    assert.ok(unit === undefined || path.includes(unit));
    const dashed = path.replaceAll("_", "-");
    assert.ok(podUid === undefined || dashed.includes(podUid));
  }));
});
