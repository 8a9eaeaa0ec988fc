/**
 * The container image as an OCI layout in a tar file, for both architectures, built without a daemon. One layer each: the root file
 * system of scripts/build/rootfs.ts.
 */

import { hash } from "node:crypto";
import { join } from "node:path";
import { makeRootFileSystem } from "../build/rootfs.ts";
import { root, succeed } from "../command.ts";
import { inTemporaryDirectory, tar, writeFiles } from "./archive.ts";
import { type Build, DESCRIPTION, type Source } from "./source.ts";

/** The user `oomkit` in the image. A guard that kills needs `--user 0`. */
const USER = "65532:65532";

const TYPES = {
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
  config: "application/vnd.oci.image.config.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
} as const;

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** @returns the name of the file, in `directory`. */
export async function makeImage(
  source: Source,
  builds: readonly Build[],
  directory: string,
): Promise<string> {
  const name = `oomkit-${source.version}-oci.tar`;
  await inTemporaryDirectory(async (layout) => {
    const manifests = [];
    for (const build of builds) manifests.push(await addManifest(layout, build));
    const index = addJson(layout, TYPES.index, {
      schemaVersion: 2,
      mediaType: TYPES.index,
      manifests,
      annotations: labels(source),
    });
    writeFiles(layout, {
      "oci-layout": { content: JSON.stringify({ imageLayoutVersion: "1.0.0" }) },
      "index.json": {
        content: JSON.stringify({
          schemaVersion: 2,
          mediaType: TYPES.index,
          manifests: [{
            ...index,
            annotations: {
              "org.opencontainers.image.ref.name": source.version,
              // The name that docker load and ctr image import give it.
              "io.containerd.image.name": `docker.io/library/oomkit:${source.version}`,
            },
          }],
        }),
      },
    });
    await tar(layout, join(directory, name), source.time);
  });
  return name;
}

async function addManifest(layout: string, build: Build) {
  const { layer, diffId } = await addLayer(layout, build);
  const created = new Date(build.time * 1000).toISOString();
  const platform = { architecture: build.architecture.debian, os: "linux" };
  const config = addJson(layout, TYPES.config, {
    created,
    ...platform,
    config: {
      User: USER,
      Env: ["PATH=/bin"],
      Entrypoint: ["/oomkit"],
      Labels: labels(build),
    },
    rootfs: { type: "layers", diff_ids: [diffId] },
    history: [{ created, created_by: "deno task release" }],
  });
  const manifest = { schemaVersion: 2, mediaType: TYPES.manifest, config, layers: [layer] };
  return { ...addJson(layout, TYPES.manifest, manifest), platform };
}

async function addLayer(layout: string, build: Build) {
  return await inTemporaryDirectory(async (work) => {
    const tree = join(work, "rootfs");
    makeImageRoot(tree, build);
    const file = join(work, "layer.tar");
    await tar(tree, file, build.time);
    const diffId = digestOf(Deno.readFileSync(file));
    await succeed("gzip", ["-n", file]);
    return { layer: addBlob(layout, TYPES.layer, Deno.readFileSync(`${file}.gz`)), diffId };
  });
}

/** With Debian's libraries and shell, and the licences of all. */
export function makeImageRoot(dir: string, build: Build): void {
  const { libraries, shell, licences } = build.debian;
  const umask = Deno.umask(0o022);
  try {
    makeRootFileSystem(dir, { program: build.executable, shell, libraries });
  } finally {
    Deno.umask(umask);
  }
  const notices = { "/usr/share/doc/oomkit/copyright": join(root, "THIRD_PARTY_NOTICES") };
  const texts = Object.entries({ ...licences, ...notices });
  writeFiles(
    dir,
    Object.fromEntries(texts.map(([path, copyOf]) => [path, { content: { copyOf } }])),
  );
}

const labels = ({ version, commit, time }: Source) => ({
  "org.opencontainers.image.title": "oomkit",
  "org.opencontainers.image.description": DESCRIPTION,
  "org.opencontainers.image.version": version,
  "org.opencontainers.image.revision": commit,
  "org.opencontainers.image.created": new Date(time * 1000).toISOString(),
  "org.opencontainers.image.licenses": "MIT",
});

const digestOf = (bytes: Uint8Array): string => `sha256:${hash("sha256", bytes)}`;

function addJson(layout: string, mediaType: string, json: unknown): Descriptor {
  return addBlob(layout, mediaType, new TextEncoder().encode(JSON.stringify(json)));
}

function addBlob(layout: string, mediaType: string, bytes: Uint8Array): Descriptor {
  const digest = digestOf(bytes);
  writeFiles(layout, { [`blobs/${digest.replace(":", "/")}`]: { content: bytes } });
  return { mediaType, digest, size: bytes.length };
}
