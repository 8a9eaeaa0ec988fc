import assert from "node:assert/strict";
import { runOomkit } from "../helpers/run_oomkit.ts";
import { bundledPackages } from "../../scripts/build/packages.ts";

Deno.test("--help names --licenses", async () => {
  assert.match((await runOomkit(["--help"])).stdout, /^ +--licenses +print/m);
});

Deno.test("--licenses prints the licence of oomkit, of Deno and of every package in the bundle", async () => {
  const { code, stdout } = await runOomkit(["--licenses"]);
  assert.equal(code, 0);
  const packages = await bundledPackages();
  const names = packages.map(({ name }) => name);
  for (const name of ["commander", "smol-toml", "uplot", "valibot"]) {
    assert.ok(names.includes(name), `${name} is in the bundle`);
  }
  assert.ok(!names.includes("fast-check"), "a package of the tests is not");
  // Packages with the same text share it.
  const titles = [...stdout.matchAll(/^=+\n((?:.+\n)+?)=+\n\n(.+)/gm)]
    .flatMap(([, titles]) => titles!.trim().split("\n"));
  for (const { name, version } of packages) {
    assert.ok(
      titles.some((title) => title.startsWith(`${name} ${version} (`)),
      `${name} in ${titles}`,
    );
  }
  assert.ok(titles.some((title) => title.startsWith("Deno, ")), String(titles));
  assert.match(stdout, /the Deno authors/);
});
