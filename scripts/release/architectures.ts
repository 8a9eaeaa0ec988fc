/** What a release is made for, by the names that each packager uses. */

import type { Target } from "../build/executable.ts";

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
