/** Preloaded, makes the program see the process namespace of a pod: its first process is in another container. */

import { oomkit } from "./run_oomkit.ts";

const POD = "/kubepods/pod00000000-0000-0000-0000-000000000001";
const CGROUPS: Readonly<Record<string, string>> = {
  "/proc/1/cgroup": `0::${POD}/${"a".repeat(64)}\n`,
  "/proc/self/cgroup": `0::${POD}/${"b".repeat(64)}\n`,
};

/** From its sources. */
export const inSharedPidNamespace = (): string[] => {
  const [deno, run, ...rest] = oomkit();
  return [deno!, run!, "--preload", new URL(import.meta.url).pathname, ...rest];
};

if (!Deno.mainModule.endsWith("_test.ts")) {
  const { readLinkSync, readTextFileSync } = Deno;
  Object.assign(Deno, {
    readLinkSync: (path: string) =>
      path === "/proc/self/ns/pid" ? "pid:[4026532999]" : readLinkSync(path),
    readTextFileSync: (path: string) => CGROUPS[path] ?? readTextFileSync(path),
  });
}
