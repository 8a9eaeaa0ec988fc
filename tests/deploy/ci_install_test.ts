/** The GitHub Action and the GitLab template: their scripts run, with a stand-in for the executable. */

import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { wordOffences } from "../../scripts/manifests/flags.ts";
import { type Json, parseYaml } from "../../scripts/manifests/kustomize.ts";
import { makeDirectory } from "../helpers/directory.ts";
import { here, result } from "../helpers/release_build.ts";

const directory = fileURLToPath(new URL("../../deploy/ci", import.meta.url));

function read(name: string): Json {
  return parseYaml(Deno.readTextFileSync(`${directory}/${name}`), name)[0];
}

/** Prints its arguments, one a line. */
const program = '#!/bin/sh\nprintf "%s\\n" "$@"\n';
const digest = hash("sha256", program);

/** Runs a script of the action or the template against a server that has the executable. */
async function runs(shell: string, script: string, env: Record<string, string>) {
  using place = makeDirectory();
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    ({ url }) =>
      url.endsWith(`/oomkit-linux-${here.machine}`)
        ? new Response(program)
        : new Response(null, { status: 404 }),
  );
  const variables = {
    RELEASE_URL: `http://127.0.0.1:${server.addr.port}`,
    RELEASE_SHA256: digest,
    GITHUB_ACTION_PATH: `${directory}/action`,
    GITHUB_PATH: `${place.path}/path`,
    RUNNER_TEMP: place.path,
    ...env,
  };
  return await result(shell, ["-e", "-c", script], { cwd: place.path, env: variables });
}

const steps: readonly Json[] = read("action/action.yml").runs.steps;
const actionScript = [
  ...steps.map(({ run }) => run),
  // What the runner does between two steps.
].join('\nPATH="$(cat "$GITHUB_PATH"):$PATH"\n');
const template = read("template.yml")[".oomkit"];
const templateScript = [...template.before_script, ...template.script].join("\n");

const settings = { MIN_HEADROOM: "2G", COMMAND: "make 'a b'" };

for (
  const [name, shell, script] of [
    ["GitHub Action", "bash", actionScript],
    ["GitLab template", "sh", templateScript],
  ] as const
) {
  Deno.test(`the ${name} installs the executable, checks the runner and watches the command`, async () => {
    const { code, said } = await runs(shell, script, settings);
    assert.equal(code, 0, said);
    const lines = said.split("\n");
    assert.ok(lines.includes("inspect") && lines.includes("2G"), said);
    assert.ok(lines.includes("watch") && lines.includes(settings.COMMAND), said);
  });

  Deno.test(`the ${name} runs nothing when the digest is another one`, async () => {
    const { code, said } = await runs(shell, script, {
      ...settings,
      RELEASE_SHA256: "0".repeat(64),
    });
    assert.notEqual(code, 0);
    assert.doesNotMatch(said, /^inspect$|^watch$/m);
  });

  Deno.test(`the ${name} uses options that the program has`, () => {
    const commands = script.split("\n").filter((line) => line.startsWith("oomkit "));
    assert.equal(commands.length, 2);
    for (const line of commands) {
      const [, command, ...words] = line.replaceAll('"$MIN_HEADROOM"', "2G").split(" ");
      assert.deepEqual(wordOffences(command!, words), [], line);
    }
  });
}

Deno.test("each input of the action and each variable of the template is used", () => {
  const action = Deno.readTextFileSync(`${directory}/action/action.yml`);
  for (const name of Object.keys(read("action/action.yml").inputs)) {
    assert.ok(action.includes(`\${{ inputs.${name} }}`), name);
  }
  for (const name of Object.keys(template.variables)) {
    assert.ok(templateScript.includes(`$${name}`), name);
  }
});
