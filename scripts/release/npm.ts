/**
 * npm packages: `oomkit` with a launcher, and one for each architecture with the executable. They are optional dependencies, of
 * which npm installs the one for the machine.
 */

import { join } from "node:path";
import { root } from "../command.ts";
import { type Files, inTemporaryDirectory, tar, writeFiles } from "./archive.ts";
import { type Build, DESCRIPTION, type Source } from "./source.ts";

const notices = { content: { copyOf: join(root, "THIRD_PARTY_NOTICES") } };
const license = { content: { copyOf: join(root, "LICENSE") } };

const nameOf = ({ architecture }: Build) => `@oomkit/linux-${architecture.node}`;

/** @returns the names of the files, in `directory`. */
export async function makeNpmPackages(
  source: Source,
  builds: readonly Build[],
  directory: string,
): Promise<string[]> {
  const { version } = source;
  const names = [
    await pack(`oomkit-${version}.tgz`, source, directory, mainPackage(source, builds)),
  ];
  for (const build of builds) {
    const name = `oomkit-linux-${build.architecture.node}-${version}.tgz`;
    names.push(await pack(name, source, directory, platformPackage(build)));
  }
  return names;
}

function mainPackage({ version }: Source, builds: readonly Build[]): Files {
  const manifest = {
    ...common(version),
    name: "oomkit",
    bin: { oomkit: "oomkit.js" },
    engines: { node: ">=16" },
    os: ["linux"],
    optionalDependencies: Object.fromEntries(builds.map((build) => [nameOf(build), version])),
  };
  return {
    "package.json": { content: text(manifest) },
    "oomkit.js": { content: { copyOf: join(root, "deploy/npm/oomkit.js") }, mode: 0o755 },
    "README.md": { content: { copyOf: join(root, "deploy/npm/README.md") } },
    LICENSE: license,
  };
}

function platformPackage(build: Build): Files {
  const manifest = {
    ...common(build.version),
    name: nameOf(build),
    os: ["linux"],
    cpu: [build.architecture.node],
    libc: ["glibc"],
  };
  return {
    "package.json": { content: text(manifest) },
    oomkit: { content: { copyOf: build.executable }, mode: 0o755 },
    LICENSE: license,
    THIRD_PARTY_NOTICES: notices,
  };
}

const common = (version: string) => ({ version, description: DESCRIPTION, license: "MIT" });
const text = (json: unknown) => `${JSON.stringify(json, null, 2)}\n`;

async function pack(name: string, { time }: Source, directory: string, files: Files) {
  await inTemporaryDirectory(async (tree) => {
    writeFiles(join(tree, "package"), files);
    await tar(tree, join(directory, name), time);
  });
  return name;
}
