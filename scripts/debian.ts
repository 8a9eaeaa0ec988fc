/**
 * Packages of a Debian release, from the mirror that this machine uses, verified by apt. apt's own lists and cache stay as they
 * are, and nothing is installed.
 */

import { join } from "node:path";
import { outputOf, type Ran, root } from "./command.ts";
import { isThere } from "./files.ts";

/** Has the keys of all releases that are maintained (package debian-archive-keyring). */
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** The site by suffix of the suite: Debian's security updates have a site of their own. */
export type Mirror = Readonly<Partial<Record<"" | "-security", string>>>;

interface Place {
  /** Of the release. */
  readonly codename: string;
  /** For all that apt keeps. */
  readonly directory: string;
  /** amd64 without it. */
  readonly architecture?: string;
  readonly signal?: AbortSignal | undefined;
}

export const NO_MIRROR = "apt's sources name no Debian mirror; add one to /etc/apt/sources.list";

interface PrivateApt {
  /** Runs apt-get or apt-cache with lists and cache of its own. */
  readonly own: (program: string, ...args: string[]) => Promise<Ran>;
  /** What `apt-get update` said; `undefined` where no mirror is known. */
  readonly update: Ran | undefined;
}

export async function privateApt(place: Place): Promise<PrivateApt> {
  const { codename, directory, architecture, signal } = place;
  const targets = await apt("apt-get", ["indextargets", "--format", TARGET_FORMAT], signal);
  const mirror = mirrorIn(targets.stdout);
  for (const path of ["lists/partial", "archives/partial"]) {
    Deno.mkdirSync(join(directory, path), { recursive: true });
  }
  Deno.writeTextFileSync(
    join(directory, "sources.list"),
    sourcesList(mirror, codename, architecture),
  );
  const config = join(directory, "apt.conf");
  Deno.writeTextFileSync(config, aptConfiguration(directory, architecture));
  const own = (program: string, ...args: string[]) =>
    apt(program, [`--config-file=${config}`, ...args], signal, directory);
  const isKnown = mirror[""] !== undefined || mirror["-security"] !== undefined;
  return { own, update: isKnown ? await own("apt-get", "update") : undefined };
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

export function sourcesList(mirror: Mirror, codename: string, architecture = "amd64"): string {
  const signedBy = isThere(KEYRING) ? ` signed-by=${KEYRING}` : "";
  return Object.entries(mirror).map(([suffix, site]) =>
    `deb [arch=${architecture}${signedBy}] ${site} ${codename}${suffix} main\n`
  ).join("");
}

/**
 * Everything that apt keeps is below `directory`. The machine's own settings of proxies and certificates stay in force, its hooks
 * and pins do not. Signatures are required even where the machine's settings do not.
 */
export function aptConfiguration(directory: string, architecture = "amd64"): string {
  return `APT::Architecture "${architecture}";
APT::Architectures { "${architecture}"; };
Dir::State "${directory}";
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

/** The first error, on one line; a warning where there is none. */
export function aptError(stderr: string): string | undefined {
  const lines = stderr.split("\n");
  return lines.find((line) => line.startsWith("E: ")) ??
    lines.find((line) => /^(W|Err):/.test(line));
}
