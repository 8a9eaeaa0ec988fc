/** What every artifact of a release is made from. */

import type { Architecture } from "./architectures.ts";
import type { DebianFiles } from "./debian_files.ts";

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
