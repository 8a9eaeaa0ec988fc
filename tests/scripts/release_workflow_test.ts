/** .github/workflows/release.yml, which only runs for a tag. */

import assert from "node:assert/strict";
import { parseYaml } from "../../scripts/manifests/kustomize.ts";
import config from "../../deno.json" with { type: "json" };

const root = new URL("../..", import.meta.url).pathname;
const path = ".github/workflows/release.yml";
const text = Deno.readTextFileSync(root + path);

Deno.test("the release workflow runs tasks that are there, with the Deno of the launcher", () => {
  const tasks = [...text.matchAll(/deno task (\w+)/g)].map(([, task]) => task!);
  assert.deepEqual(tasks, ["ok", "release"]);
  for (const task of tasks) assert.ok(Object.hasOwn(config.tasks, task), task);
  const launcher = Deno.readTextFileSync(`${root}scripts/deno.sh`);
  const [, version] = /\bdeno@(\d[\d.]*\d)/.exec(text)!;
  assert.ok(launcher.includes(version!), version);
});

Deno.test("the release workflow publishes only what was made twice alike, for a tag of that version", () => {
  const { on, jobs } = parseYaml(text, path)[0];
  assert.deepEqual(on.push.tags, ["v*"]);
  const commands: string[] = jobs.release.steps.flatMap(({ run }: { run?: string }) => run ?? []);
  const at = (pattern: RegExp) => commands.findIndex((command) => pattern.test(command));
  assert.ok(at(/deno\.json/) >= 0);
  assert.ok(at(/deno task release --check$/) > at(/deno\.json/));
  assert.ok(at(/^gh release create/) > at(/deno task release --check$/));
});
