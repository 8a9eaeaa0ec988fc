/**
 * Kernels of other Debian releases for the guest: downloaded from the mirror that this machine uses, verified by apt, unpacked
 * below dist/kernels, never installed.
 */

import { join } from "node:path";
import { root, succeed } from "../command.ts";
import { aptError, NO_MIRROR, privateApt } from "../debian.ts";
import { removeIfThere } from "../files.ts";
import { Mistake } from "../terminal.ts";
import { type Architecture, findKernel, type Kernel } from "./image.ts";

/** Debian's name of the release by its kernel. */
const CODENAMES = { "5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie" } as const;

export type KernelRelease = keyof typeof CODENAMES;

export const kernelReleases = Object.keys(CODENAMES) as KernelRelease[];

export const isKernelRelease = (text: string): text is KernelRelease =>
  Object.hasOwn(CODENAMES, text);

/** Depends on the package of the newest kernel. */
const metaPackage = (architecture: Architecture) => `linux-image-cloud-${architecture}`;

const cache = join(root, "dist/kernels");

/** An installed kernel, or one of an earlier download, or a new download. @throws Mistake with the reason. */
export async function kernelOfRelease(
  release: KernelRelease,
  architecture: Architecture = "amd64",
  signal?: AbortSignal,
): Promise<Kernel> {
  const unpacked = join(cache, architecture === "amd64" ? release : `${release}-${architecture}`);
  const installed = findKernel("/", architecture);
  if (installed !== undefined && isOfRelease(installed.version, release)) return installed;
  const kept = findKernel(unpacked, architecture);
  if (kept !== undefined) return kept;
  Deno.mkdirSync(cache, { recursive: true });
  const directory = Deno.makeTempDirSync({ dir: cache, prefix: `${release}-` });
  try {
    const archive = await download(release, architecture, directory, signal);
    const tree = join(directory, "root");
    await succeed("dpkg-deb", ["-x", archive, tree], signal && { signal });
    if (findKernel(tree, architecture) === undefined) {
      throw new Mistake(`cannot get Linux ${release}: ${archive} contains no kernel`);
    }
    try {
      Deno.renameSync(tree, unpacked);
    } catch (error) {
      // Another run may have been faster. Its result is as good.
      if (findKernel(unpacked, architecture) === undefined) throw error;
    }
    return findKernel(unpacked, architecture)!;
  } finally {
    removeIfThere(directory);
  }
}

/** `6.12.118+deb13-cloud-amd64` is of 6.12, not of 6.1. */
export const isOfRelease = (version: string, release: KernelRelease): boolean =>
  version.startsWith(`${release}.`);

/** @returns the path of the package. */
async function download(
  release: KernelRelease,
  architecture: Architecture,
  directory: string,
  signal?: AbortSignal,
) {
  const codename = CODENAMES[release];
  const failed = (what: string) =>
    new Mistake(`cannot get Linux ${release} (Debian ${codename}, ${architecture}): ${what}`);
  const { own, update } = await privateApt({ codename, directory, architecture, signal });
  if (update === undefined) throw failed(NO_MIRROR);
  // One of the suites may be missing, as when a release has moved to the archive: the other one may have the package.
  const shown = await own("apt-cache", "show", "--no-all-versions", metaPackage(architecture));
  const debianPackage = kernelPackageIn(shown.stdout, architecture);
  if (debianPackage === undefined) {
    throw failed(aptError(update.stderr) ?? `the mirror has no ${metaPackage(architecture)}`);
  }
  const { code, stderr } = await own("apt-get", "download", debianPackage);
  const archive = [...Deno.readDirSync(directory)].find(({ name }) => name.endsWith(".deb"));
  if (code !== 0 || archive === undefined) {
    throw failed(aptError(stderr) ?? `apt-get download ${debianPackage} left no package`);
  }
  return join(directory, archive.name);
}

/** @param shown by apt-cache show. */
export function kernelPackageIn(
  shown: string,
  architecture: Architecture = "amd64",
): string | undefined {
  const kernelPackage = new RegExp(`^linux-image-\\d\\S*-cloud-${architecture}$`);
  const depends = /^Depends: (.*)$/m.exec(shown)?.[1] ?? "";
  return depends.split(", ").map((word) => word.split(" ")[0]!).find((name) =>
    kernelPackage.test(name)
  );
}
