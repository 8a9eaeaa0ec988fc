/** The libraries and the shell of the container image, from packages of Debian, for both architectures alike. */

import { basename, join } from "node:path";
import { outputOf, root, succeed } from "../command.ts";
import { aptError, NO_MIRROR, privateApt } from "../debian.ts";
import { isThere, removeIfThere } from "../files.ts";
import { Mistake } from "../terminal.ts";
import type { Architecture } from "./architectures.ts";

const CODENAME = "bookworm";
const LIBRARIES = ["libc6", "libgcc-s1"];
const SHELL = "busybox-static";

/** What the runtime base is linked with (`objdump -p`). */
const RUNTIME_LIBRARIES = [
  "libc.so.6",
  "libdl.so.2",
  "libgcc_s.so.1",
  "libm.so.6",
  "libpthread.so.0",
  "librt.so.1",
];

/** The paths by which programs ask for them. */
const LOADERS = { amd64: "/lib64/ld-linux-x86-64.so.2", arm64: "/lib/ld-linux-aarch64.so.1" };

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
}

export interface DebianFiles {
  /** Files by their path in the image, without the shell. */
  readonly libraries: Readonly<Record<string, string>>;
  /** Static. */
  readonly shell: string;
  /** The licences by their path in the image. */
  readonly licences: Readonly<Record<string, string>>;
  readonly packages: readonly DebianPackage[];
}

export const cache = join(root, "dist/debian");

/** Kept in dist/debian until it is removed there. @throws Mistake where they cannot be downloaded. */
export async function debianFiles(
  architecture: Pick<Architecture, "debian" | "machine">,
): Promise<DebianFiles> {
  const unpacked = join(cache, `${CODENAME}-${architecture.debian}`);
  if (!isThere(unpacked)) {
    // gcc-12-base has the licence of libgcc-s1.
    const all = [...LIBRARIES, "gcc-12-base", SHELL];
    await unpackPackages(unpacked, architecture.debian, all);
  }
  const names = [...LIBRARIES, SHELL];
  return {
    libraries: librariesIn(unpacked, architecture),
    shell: join(unpacked, "bin/busybox"),
    licences: Object.fromEntries(names.map((name) => {
      // A package with the licence of another one links to its directory.
      const path = `usr/share/doc/${name}/copyright`;
      const file = isThere(join(unpacked, path)) ? path : "usr/share/doc/gcc-12-base/copyright";
      return [`/usr/share/doc/${name}/copyright`, join(unpacked, file)];
    })),
    packages: JSON.parse(Deno.readTextFileSync(join(unpacked, "packages.json"))),
  };
}

/** @throws Mistake where they cannot be downloaded. */
export async function unpackPackages(
  unpacked: string,
  architecture: string,
  names: readonly string[],
): Promise<void> {
  Deno.mkdirSync(cache, { recursive: true });
  const directory = Deno.makeTempDirSync({ dir: cache, prefix: "fetch-" });
  const failed = (reason: string) =>
    new Mistake(`cannot get files of Debian ${CODENAME} for ${architecture}: ${reason}`);
  try {
    const { own, update } = await privateApt({ codename: CODENAME, directory, architecture });
    if (update === undefined) throw failed(NO_MIRROR);
    const { code, stderr } = await own("apt-get", "download", ...names);
    if (code !== 0) throw failed(aptError(stderr) ?? aptError(update.stderr) ?? "no reason given");
    const archives = [...Deno.readDirSync(directory)].map(({ name }) => name)
      .filter((name) => name.endsWith(".deb")).toSorted();
    const tree = join(directory, "tree");
    const packages: DebianPackage[] = [];
    for (const archive of archives) {
      const path = join(directory, archive);
      await succeed("dpkg-deb", ["-x", path, tree]);
      const { stdout } = await outputOf("dpkg-deb", ["-W", path]);
      const [name, version] = stdout.trim().split("\t");
      packages.push({ name: name!, version: version! });
    }
    Deno.writeTextFileSync(join(tree, "packages.json"), JSON.stringify(packages));
    Deno.renameSync(tree, unpacked);
  } finally {
    removeIfThere(directory);
  }
}

/** Links become files. */
function librariesIn(
  unpacked: string,
  { machine, debian }: Pick<Architecture, "debian" | "machine">,
): Record<string, string> {
  const directory = `/lib/${machine}-linux-gnu`;
  const loader = LOADERS[debian];
  const paths = RUNTIME_LIBRARIES.map((name) => join(directory, name));
  return {
    // On amd64 Debian's /lib64 has an absolute link to it.
    [loader]: join(unpacked, directory, basename(loader)),
    ...Object.fromEntries(paths.map((path) => [path, join(unpacked, path)])),
  };
}
