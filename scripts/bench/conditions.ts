/** The machine and the build of a measurement. */

import { root } from "../build/bundle.ts";
import type { Conditions } from "./records.ts";
import { executable, versionOf } from "./start_up.ts";

export function conditions(): Conditions {
  const commit = git("rev-parse", "--short", "HEAD") || "unknown";
  const isChanged = git("status", "--porcelain", "core", "cli", "scripts") !== "";
  return {
    commit: isChanged ? `${commit}+` : commit,
    program: versionOf(executable),
    kernel: Deno.osRelease(),
    cpu: /^model name\s*:\s*(.*)$/m.exec(cpuinfo())?.[1] ?? Deno.build.arch,
    cores: navigator.hardwareConcurrency,
    deno: Deno.version.deno,
  };
}

/** Load average of the last minute. */
export const load = (): number => Deno.loadavg()[0]!;

export function describeConditions(): string {
  const { commit, program, kernel, cpu, cores, deno } = conditions();
  return `${program}\nLinux ${kernel}, ${cpu}, ${cores} cores, load ${load().toFixed(2)}; ` +
    `measured by Deno ${deno}, sources at ${commit}`;
}

/** Empty without git or a repository. */
function git(...args: string[]): string {
  try {
    const { stdout } = new Deno.Command("git", { args: ["-C", root, ...args], stderr: "null" })
      .outputSync();
    return new TextDecoder().decode(stdout).trim();
  } catch {
    return "";
  }
}

function cpuinfo(): string {
  try {
    return Deno.readTextFileSync("/proc/cpuinfo");
  } catch {
    return "";
  }
}
