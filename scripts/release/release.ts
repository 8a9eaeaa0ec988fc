/** All artifacts of a release, from its executables. */

import { hash } from "node:crypto";
import { join } from "node:path";
import { root } from "../command.ts";
import { type Files, writeFiles } from "./archive.ts";
import { makeDeb } from "./deb.ts";
import { makeImage } from "./image.ts";
import { makeNpmPackages } from "./npm.ts";
import { sbomText } from "./sbom.ts";
import type { Build, Source } from "./source.ts";

export interface Release {
  readonly source: Source;
  readonly builds: readonly Build[];
  /** The version of Deno, and where its runtime base is from. */
  readonly deno: string;
  readonly base: string;
}

/** Fills `directory`, which must be empty. @returns the text of SHA256SUMS. */
export async function makeRelease(release: Release, directory: string): Promise<string> {
  const { source, builds, deno, base } = release;
  writeFiles(directory, executables(builds));
  for (const build of builds) await makeDeb(build, directory);
  await makeNpmPackages(source, builds, directory);
  await makeImage(source, builds, directory);
  const debian = Object.fromEntries(
    builds.map(({ architecture, debian }) => [architecture.debian, debian.packages]),
  );
  writeFiles(directory, {
    "install.sh": { content: { copyOf: join(root, "deploy/install.sh") }, mode: 0o755 },
    THIRD_PARTY_NOTICES: { content: { copyOf: join(root, "THIRD_PARTY_NOTICES") } },
    [`oomkit-${source.version}.cdx.json`]: {
      content: await sbomText({ ...source, deno, base, debian }),
    },
  });
  const sums = checksums(directory);
  writeFiles(directory, { SHA256SUMS: { content: sums } });
  return sums;
}

/** By the name that deploy/install.sh asks for. */
function executables(builds: readonly Build[]): Files {
  return Object.fromEntries(
    builds.map(({ executable, architecture }) => [
      `oomkit-linux-${architecture.machine}`,
      { content: { copyOf: executable }, mode: 0o755 },
    ]),
  );
}

/** As sha256sum(1) prints them and checks them. */
export function checksums(directory: string): string {
  const names = [...Deno.readDirSync(directory)].map(({ name }) => name).toSorted();
  return names.map((name) =>
    `${hash("sha256", Deno.readFileSync(join(directory, name)))}  ${name}\n`
  ).join("");
}
