/**
 * Kernels of other Debian releases for the guest: downloaded from the mirror that this machine uses, verified by apt, unpacked
 * below dist/kernels, never installed. apt's own lists and cache stay as they are.
 */

import { join } from "node:path";
import { outputOf, root, succeed } from "../command.ts";
import { isThere, removeIfThere } from "../files.ts";
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

/** Has the keys of all releases that are maintained (package debian-archive-keyring). */
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

const cache = join(root, "dist/kernels");

/** The site by suffix of the suite: Debian's security updates have a site of their own. */
export type Mirror = Readonly<Partial<Record<"" | "-security", string>>>;

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
  const targets = await apt("apt-get", ["indextargets", "--format", TARGET_FORMAT], signal);
  const mirror = mirrorIn(targets.stdout);
  if (mirror[""] === undefined && mirror["-security"] === undefined) {
    throw failed("apt's sources name no Debian mirror; add one to /etc/apt/sources.list");
  }
  for (const path of ["lists/partial", "archives/partial"]) {
    Deno.mkdirSync(join(directory, path), { recursive: true });
  }
  Deno.writeTextFileSync(join(directory, "sources.list"), sourcesList(mirror, codename));
  const config = join(directory, "apt.conf");
  Deno.writeTextFileSync(config, aptConfiguration(directory));
  const own = (program: string, ...args: string[]) =>
    apt(program, [`--config-file=${config}`, ...args], signal, directory);
  const update = await own("apt-get", "update");
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

const apt = (program: string, args: string[], signal?: AbortSignal, cwd = root) =>
  outputOf(program, args, { cwd, env: { LC_ALL: "C" }, ...signal && { signal } });

/** What apt knows of each index; apt leaves the name of a field that it does not know. */
const TARGET_FORMAT = "$(CREATED_BY) $(SITE) $(RELEASE) $(COMPONENT) $(ORIGIN)";

/** @param targets lines in {@link TARGET_FORMAT}. */
export function mirrorIn(targets: string): Mirror {
  const mirror: { -readonly [suffix in keyof Mirror]: Mirror[suffix] } = {};
  for (const line of targets.split("\n")) {
    const [kind, site = "", suite = "", component, origin = ""] = line.split(" ");
    if (kind !== "Packages" || component !== "main") continue;
    // The origin is known after the first update.
    const isDebian = origin === "Debian" ||
      (origin.startsWith("$") && /\/debian(-security)?$/.test(site));
    const suffix = /^[a-z]+(|-security)$/.exec(suite)?.[1] as keyof Mirror | undefined;
    if (isDebian && suffix !== undefined) mirror[suffix] ??= site;
  }
  return mirror;
}

export function sourcesList(mirror: Mirror, codename: string): string {
  const signedBy = isThere(KEYRING) ? ` signed-by=${KEYRING}` : "";
  return Object.entries(mirror).map(([suffix, site]) =>
    `deb [arch=amd64${signedBy}] ${site} ${codename}${suffix} main\n`
  ).join("");
}

/**
 * Everything that apt keeps is below `directory`. The machine's own settings of proxies and certificates stay in force, its hooks
 * and pins do not. Signatures are required even where the machine's settings do not.
 */
export function aptConfiguration(directory: string): string {
  return `Dir::State "${directory}";
Dir::State::status "/dev/null";
Dir::Cache "${directory}";
Dir::Etc::sourcelist "${directory}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::Languages "none";
Acquire::Retries "2";
`;
}

/** @param shown by apt-cache show. */
export function kernelPackageIn(shown: string): string | undefined {
  const depends = /^Depends: (.*)$/m.exec(shown)?.[1] ?? "";
  return depends.split(", ").map((word) => word.split(" ")[0]!).find((name) =>
    KERNEL_PACKAGE.test(name)
  );
}

/** The first error, on one line; a warning where there is none. */
export function aptError(stderr: string): string | undefined {
  const lines = stderr.split("\n");
  return lines.find((line) => line.startsWith("E: ")) ??
    lines.find((line) => /^(W|Err):/.test(line));
}
