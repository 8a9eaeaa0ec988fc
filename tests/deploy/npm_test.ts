/** The npm packages with a stand-in for the executable: what the launcher passes on. */

import assert from "node:assert/strict";
import { makeNpmPackages } from "../../scripts/release/npm.ts";
import { findProgram } from "../../scripts/guest_kernel/image.ts";
import { type Directory, makeDirectory } from "../helpers/directory.ts";
import { here, ran, result, scriptBuild, SOURCE } from "../helpers/release_build.ts";

const ignore = findProgram("node") === undefined;

/** @returns the path of the launcher, beside the platform package if `withExecutable`. */
async function unpack(directory: Directory, script: string, withExecutable = true) {
  const build = scriptBuild(directory, script);
  const [main, platform] = await makeNpmPackages(SOURCE, [build], directory.path);
  const modules = `${directory.path}/node_modules`;
  const unpackInto = async (name: string, file: string) => {
    Deno.mkdirSync(`${modules}/${name}`, { recursive: true });
    const from = ["-xf", `${directory.path}/${file}`, "--strip-components=1"];
    await ran("tar", ...from, "-C", `${modules}/${name}`);
  };
  await unpackInto("oomkit", main!);
  if (withExecutable) await unpackInto(`@oomkit/linux-${here.node}`, platform!);
  return `${modules}/oomkit/oomkit.js`;
}

Deno.test({
  name: "the launcher passes on arguments, output and exit status",
  ignore,
  async fn() {
    using directory = makeDirectory();
    const launcher = await unpack(directory, 'printf "%s|" "$@"; exit 7');
    assert.deepEqual(await result("node", [launcher, "watch", "--", "a b"]), {
      code: 7,
      said: "watch|--|a b|",
    });
  },
});

Deno.test({
  name: "the launcher passes on SIGTERM and SIGINT, and ends as the executable ends",
  ignore,
  async fn() {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      using directory = makeDirectory();
      const name = signal.slice(3);
      // A shell runs a trap only after a command that it waits for.
      const script = `trap 'echo got ${name}; exit 3' ${name}; echo ready; ` +
        "while :; do sleep 0.1; done";
      const launcher = await unpack(directory, script);
      const child = new Deno.Command("node", {
        args: [launcher],
        stdin: "null",
        stdout: "piped",
      }).spawn();
      let said = "";
      for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
        if (said === "") child.kill(signal);
        said += chunk;
      }
      assert.deepEqual([said, (await child.status).code], [`ready\ngot ${name}\n`, 3]);
    }
  },
});

Deno.test({
  name: "without the package of the machine the launcher names it",
  ignore,
  async fn() {
    using directory = makeDirectory();
    const launcher = await unpack(directory, "exit 0", false);
    const { code, said } = await result("node", [launcher]);
    assert.equal(code, 2);
    assert.match(said, /^oomkit: cannot find the package @oomkit\/linux-\w+: .*\n$/);
  },
});
