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

Deno.test("a bracket that never closes is itself", () => {
  assert.ok(matches("/a[b", "/a[b"));
});

Deno.test("what is no wildcard matches itself alone", () => {
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
