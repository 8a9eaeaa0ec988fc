/** Other programs that kill processes when the machine runs short of memory. */

import { tryListDirectories, tryReadText } from "./files.ts";

/** By their comm. */
const NAMES: readonly string[] = ["earlyoom", "nohang", "systemd-oomd", "oomd"];

export interface OomDaemon {
  readonly pid: number;
  readonly comm: string;
}

/** Those that run, by the kernel's names, which any process can choose. @param proc the mount point of procfs. */
export function oomDaemons(proc = "/proc"): OomDaemon[] {
  return (tryListDirectories(proc) ?? []).filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    const comm = nameOf(`${proc}/${name}`);
    return NAMES.includes(comm) ? [{ pid: Number(name), comm }] : [];
  });
}

/** Of the script where the kernel's name is that of its interpreter, as with `#!/usr/bin/env python3`. */
function nameOf(dir: string): string {
  const comm = tryReadText(`${dir}/comm`)?.trimEnd() ?? "";
  if (!comm.startsWith("python")) return comm;
  return tryReadText(`${dir}/cmdline`)?.split("\0")[1]?.replace(/^.*\//, "") ?? comm;
}
