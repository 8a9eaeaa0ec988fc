import assert from "node:assert/strict";
import fc from "fast-check";
import { globBase, globDepth, globToRegExp, isGlob } from "../../../core/cgroup/glob.ts";

const matches = (glob: string, path: string) => globToRegExp(glob).test(path);

Deno.test("a star stays within one name", () => {
  assert.ok(matches("/kubepods/*", "/kubepods/burstable"));
  assert.ok(!matches("/kubepods/*", "/kubepods/burstable/pod1"));
  assert.ok(!matches("/kubepods/*", "/kubepods"));
  assert.ok(matches("/a/docker-*.scope", "/a/docker-1f.scope"));
  assert.ok(!matches("/a/?", "/a/bc"));
});

Deno.test("two stars go to any depth, but not to the cgroup itself", () => {
  assert.ok(matches("/a/**", "/a/b"));
  assert.ok(matches("/a/**", "/a/b/c/d"));
  assert.ok(!matches("/a/**", "/a"));
  assert.ok(!matches("/a/**", "/ab"));
  assert.ok(matches("/a/**/x", "/a/x"));
  assert.ok(matches("/a/**/x", "/a/b/c/x"));
  assert.ok(!matches("/a/**/x", "/a/b/xx"));
});

Deno.test("a set matches one character, never a slash", () => {
  assert.ok(matches("/p[ab]", "/pa"));
  assert.ok(!matches("/p[!ab]", "/pa"));
  assert.ok(matches("/p[!ab]", "/pc"));
  assert.ok(!matches("/p[!ab]x", "/p/x"));
  assert.ok(matches("/p[0-9]", "/p7"));
});

Deno.test("a range that ends before it begins is empty, and none reaches across a slash", () => {
  assert.ok(!matches("/p[z-a]", "/pm"));
  assert.ok(matches("/p[z-a0]", "/p0"));
  assert.ok(matches("/p[!z-a]", "/pm"));
  assert.ok(matches("/p[.-0]", "/p."));
  assert.ok(!matches("/p[.-0]", "/p/"));
  assert.ok(matches("/p[a-]", "/p-"));
});

Deno.test("a character beyond the first 65536 is one character", () => {
  assert.ok(matches("/?", "/\u{1d518}"));
  assert.ok(matches("/[\u{1d518}a]", "/\u{1d518}"));
  assert.ok(!matches("/[\u{1d518}a]", "/\ud835"));
});

Deno.test("a glob with many stars is fast, even for names that nearly match", () => {
  const globs = ["*a", "**a", "**/a/", "*a/*a", "**a*", "?*a**", "[ab]*a"]
    .map((part) => `/${part.repeat(20)}b`);
  const paths = ["a", "a/", `${"a".repeat(254)}/`]
    .map((part) => `/${part.repeat(4090 / part.length)}`);
  for (const glob of globs) {
    for (const path of paths) {
      assert.ok(!matches(glob, path));
      assert.ok(!matches(glob, `${path}ab/`));
    }
  }
  assert.ok(matches(globs[0]!, `/${"a".repeat(200)}b`));
  assert.ok(matches(globs[1]!, `${paths[1]}aab`));
});

Deno.test("if a part fits at several positions, the one that lets the rest match counts", () => {
  assert.ok(matches("/**/a*b/c", "/ax/ab/c"));
  assert.ok(matches("/*a*ab", "/aab"));
  assert.ok(!matches("/*ab*ab", "/aab"));
  assert.ok(matches("/**/a/**/b*", "/b/a/a/x/b"));
  assert.ok(!matches("/**/a/**/a/b", "/x/a/b"));
});

Deno.test("an unclosed bracket matches itself", () => {
  assert.ok(matches("/a[b", "/a[b"));
});

Deno.test("text without wildcards matches only itself", () => {
  const name = fc.string({ minLength: 1 }).filter((text) => !isGlob(text));
  fc.assert(fc.property(name, fc.string(), (text, other) => {
    assert.ok(matches(text, text));
    assert.equal(matches(text, other), text === other);
  }));
});

Deno.test("a search begins at the last name without a wildcard and goes no deeper than the glob", () => {
  assert.equal(globBase("/kubepods/pod*/x"), "/kubepods");
  assert.equal(globBase("/**"), "/");
  assert.equal(globBase("/*"), "/");
  assert.equal(globDepth("/kubepods/pod*/x"), 3);
  assert.equal(globDepth("/kubepods/**"), Infinity);
});
