/**
 * Kernels of other Debian releases for the guest: downloaded from the mirror that this machine uses, verified by apt, unpacked
 * below dist/kernels, never installed.
 */

import { join } from "node:path";
import { root, succeed } from "../command.ts";
import { aptError, NO_MIRROR, privateApt } from "../debian.ts";
import { removeIfThere } from "../files.ts";
import { Mistake } from "../terminal.ts";
import { findKernel, type Kernel } from "./image.ts";

/** Debian's name of the release by its kernel. */
const CODENAMES = { "5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie" } as const;

export type KernelRelease = keyof typeof CODENAMES;

export const kernelReleases = Object.keys(CODENAMES) as KernelRelease[];

export const isKernelRelease = (text: string): text is KernelRelease =>
  Object.hasOwn(CODENAMES, text);

/** Depends on the package of the newest kernel. */
const META_PACKAGE = "linux-image-cloud-amd64";

const KERNEL_PACKAGE = /^linux-image-\d\S*-cloud-amd64$/;

const cache = join(root, "dist/kernels");

/** An installed kernel, or one of an earlier download, or a new download. @throws Mistake with the reason. */
export async function kernelOfRelease(
  release: KernelRelease,
  signal?: AbortSignal,
): Promise<Kernel> {
  const unpacked = join(cache, release);
  const installed = findKernel();
  if (installed !== undefined && isOfRelease(installed.version, release)) return installed;
  const kept = findKernel(unpacked);
  if (kept !== undefined) return kept;
  Deno.mkdirSync(cache, { recursive: true });
  const directory = Deno.makeTempDirSync({ dir: cache, prefix: `${release}-` });
  try {
    const archive = await download(release, directory, signal);
    const tree = join(directory, "root");
    await succeed("dpkg-deb", ["-x", archive, tree], signal && { signal });
    if (findKernel(tree) === undefined) {
      throw new Mistake(`cannot get Linux ${release}: ${archive} contains no kernel`);
    }
    try {
      Deno.renameSync(tree, unpacked);
    } catch (error) {
      // Another run may have been faster. Its result is as good.
      if (findKernel(unpacked) === undefined) throw error;
    }
    return findKernel(unpacked)!;
  } finally {
    removeIfThere(directory);
  }
}

/** `6.12.118+deb13-cloud-amd64` is of 6.12, not of 6.1. */
export const isOfRelease = (version: string, release: KernelRelease): boolean =>
  version.startsWith(`${release}.`);

/** @returns the path of the package. */
async function download(release: KernelRelease, directory: string, signal?: AbortSignal) {
  const codename = CODENAMES[release];
  const failed = (what: string) =>
    new Mistake(`cannot get Linux ${release} (Debian ${codename}): ${what}`);
  const { own, update } = await privateApt({ codename, directory, signal });
  if (update === undefined) throw failed(NO_MIRROR);
  // One of the suites may be missing, as when a release has moved to the archive: the other one may have the package.
  const shown = await own("apt-cache", "show", "--no-all-versions", META_PACKAGE);
  const debianPackage = kernelPackageIn(shown.stdout);
  if (debianPackage === undefined) {
    throw failed(aptError(update.stderr) ?? `the mirror has no ${META_PACKAGE}`);
  }
  const { code, stderr } = await own("apt-get", "download", debianPackage);
  const archive = [...Deno.readDirSync(directory)].find(({ name }) => name.endsWith(".deb"));
  if (code !== 0 || archive === undefined) {
    throw failed(aptError(stderr) ?? `apt-get download ${debianPackage} left no package`);
  }
  return join(directory, archive.name);
}

/** @param shown by apt-cache show. */
export function kernelPackageIn(shown: string): string | undefined {
  const depends = /^Depends: (.*)$/m.exec(shown)?.[1] ?? "";
  return depends.split(", ").map((word) => word.split(" ")[0]!).find((name) =>
    KERNEL_PACKAGE.test(name)
  );
}
