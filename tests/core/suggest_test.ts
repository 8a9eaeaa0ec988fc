import assert from "node:assert/strict";
import fc from "fast-check";
import { didYouMean, suggest } from "../../core/suggest.ts";

Deno.test("a typo suggests the intended name", () => {
  const names = ["system.slice", "user.slice", "kubepods", "init.scope"];
  assert.deepEqual(suggest("sytem.slice", names), ["system.slice"]);
  assert.deepEqual(suggest("kubepod", names), ["kubepods"]);
});

Deno.test("nothing is suggested for a name unlike all others", () => {
  assert.deepEqual(suggest("postgres", ["kubepods", "init.scope"]), []);
  assert.deepEqual(suggest("x", []), []);
});

Deno.test("a part of a name suggests it, the shortest first", () => {
  assert.deepEqual(suggest("nginx", ["nginx-proxy.service", "nginx.service"]), [
    "nginx.service",
    "nginx-proxy.service",
  ]);
});

Deno.test("capitals, - for _, and two letters that changed places do not hide a name", () => {
  const types = ["threshold", "oom", "oom_kill", "oom_group_kill"];
  for (const word of ["oom-kill", "OOM_KILL", "OomKill", "oom_klil", "oomkill", "_kill"]) {
    assert.equal(didYouMean(word, types), "did you mean oom_kill?", word);
  }
  assert.equal(didYouMean("zhs", ["bash", "zsh", "fish"]), "did you mean zsh?");
  assert.deepEqual(suggest("kubepods", ["KUBEPODS"]), ["KUBEPODS"]);
});

Deno.test("nothing is asked about a word that is empty or unlike all names", () => {
  assert.equal(didYouMean("", ["oom"]), undefined);
  assert.equal(didYouMean("level_reached", ["oom", "max"]), undefined);
});

Deno.test("a name is nearest to itself and each is suggested once", () => {
  fc.assert(fc.property(fc.string({ minLength: 1 }), fc.array(fc.string()), (word, names) => {
    const found = suggest(word, [...names, word, word], 100);
    assert.ok(found.includes(word));
    assert.equal(new Set(found).size, found.length);
  }));
});
