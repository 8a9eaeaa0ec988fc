import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { wordOffences } from "../../scripts/manifests/flags.ts";
import { type Json, parseYaml } from "../../scripts/manifests/kustomize.ts";

const directory = fileURLToPath(new URL("../../deploy/ci", import.meta.url));

function read(name: string): Json {
  const documents = parseYaml(Deno.readTextFileSync(`${directory}/${name}`), name);
  assert.equal(documents.length, 1);
  return documents[0];
}

const isOomkit = (line: string) => line.startsWith("oomkit ");

/** The command lines of each example, in their order. */
const lines: Readonly<Record<string, readonly string[]>> = {
  github: read("github.yml").jobs.build.steps.flatMap(({ run = "" }) => run).filter(isOomkit),
  gitlab: [...read("gitlab.yml").build.before_script, ...read("gitlab.yml").build.script]
    .filter(isOomkit),
};

for (const [service, commands] of Object.entries(lines)) {
  Deno.test(`the example for ${service} checks, then builds, with options that the program has`, () => {
    assert.deepEqual(commands.map((line) => line.split(" ")[1]), ["inspect", "watch"]);
    for (const line of commands) {
      const [, command, ...words] = line.split(" ");
      assert.deepEqual(wordOffences(command!, words), [], line);
      assert.equal(words[words.indexOf("--annotate") + 1], service);
    }
    const report = /--junit (\S+)/.exec(commands[0]!)![1]!;
    const text = Deno.readTextFileSync(`${directory}/${service}.yml`);
    assert.ok(text.split(report).length === 3, "the report is also uploaded");
  });
}
