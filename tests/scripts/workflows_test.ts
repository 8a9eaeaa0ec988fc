/** .github/workflows: what they run is there. */

import assert from "node:assert/strict";
import { parseYaml } from "../../scripts/manifests/kustomize.ts";
import config from "../../deno.json" with { type: "json" };

const root = new URL("../..", import.meta.url).pathname;
const directory = ".github/workflows";
const workflows = [...Deno.readDirSync(root + directory)].map(({ name }) => {
  const text = Deno.readTextFileSync(`${root}${directory}/${name}`);
  return { name, text, jobs: parseYaml(text, name)[0].jobs };
});

Deno.test("each task of a workflow is there", () => {
  for (const { name, text, jobs } of workflows) {
    const matrix = jobs.unit?.strategy.matrix.include ?? [];
    const tasks = [
      ...[...text.matchAll(/deno task (\w+)/g)].map(([, task]) => task!),
      ...matrix.map(({ task }: { task: string }) => task),
    ];
    for (const task of tasks) assert.ok(Object.hasOwn(config.tasks, task), `${name}: ${task}`);
  }
});

Deno.test("workflows take the Deno of the launcher, and the unit tests run with a newer one as well", () => {
  const launcher = Deno.readTextFileSync(`${root}scripts/deno.sh`);
  const pinned = /^pinned=(.*)$/m.exec(launcher)![1]!;
  for (const { name, text } of workflows) {
    for (const [, version] of text.matchAll(/\bdeno@(\d[\d.]*\d)/g)) {
      assert.equal(version, pinned, name);
    }
  }
  const { jobs } = workflows.find(({ name }) => name === "test.yml")!;
  const { include } = jobs.unit.strategy.matrix;
  const order = new Intl.Collator("en", { numeric: true });
  const [own, newest] = include.map(({ deno }: { deno: unknown }) => String(deno));
  assert.equal(own, pinned);
  assert.ok(order.compare(newest, pinned) > 0);
  assert.deepEqual(include.map(({ task }: { task: string }) => task), ["ok", "unit"]);
});

Deno.test("each night all kernels, arm64 among them, and the cluster are tested", () => {
  const { jobs } = workflows.find(({ name }) => name === "nightly.yml")!;
  const commands = (job: string): { run?: string; env?: Record<string, string> }[] =>
    jobs[job].steps;
  const kernels = commands("kernels").find(({ run }) => run?.startsWith(".ci/run"));
  assert.deepEqual(kernels, {
    run: ".ci/run --only compile,kernels",
    env: { OOMKIT_TEST_KERNELS: "all" },
  });
  assert.ok(commands("cluster").some(({ run }) => run?.includes("deno task cluster")));
});
