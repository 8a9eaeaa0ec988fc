/** What a release is made for, by the names that each packager uses. */

import type { Target } from "../build/executable.ts";
import type { DebianFiles } from "./debian_files.ts";

export interface Architecture {
  readonly target: Target;
  /** As `uname -m` prints it. */
  readonly machine: "x86_64" | "aarch64";
  /** Of Debian and of container images. */
  readonly debian: "amd64" | "arm64";
  /** Of Node.js. */
  readonly node: "x64" | "arm64";
}

export const architectures: readonly Architecture[] = [
  { target: "x86_64-unknown-linux-gnu", machine: "x86_64", debian: "amd64", node: "x64" },
  { target: "aarch64-unknown-linux-gnu", machine: "aarch64", debian: "arm64", node: "arm64" },
];

/** What every artifact of a release is made from. */
export interface Source {
  readonly version: string;
  readonly commit: string;
  /** Seconds since 1970: the commit's. Every file in an archive has it. */
  readonly time: number;
}

export interface Build extends Source {
  readonly architecture: Architecture;
  /** The path of the executable. */
  readonly executable: string;
  /** For the image. */
  readonly debian: DebianFiles;
}

export const DESCRIPTION =
  "inspect memory cgroup limits, watch them, act before the kernel's OOM killer, and simulate OOMs";
