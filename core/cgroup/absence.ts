/** Why something that oomkit needs is absent: one symptom has many causes, and /proc tells most of them apart. */

import type { Mount } from "../parse/mountinfo.ts";
import type { CgroupLine } from "../parse/procfs.ts";
import { exists, tryReadText } from "./files.ts";

export interface Absence {
  readonly why: string;
  /** What to do. */
  readonly hint: string;
}

const MOUNT_V1 = "mount -t cgroup -o memory none /sys/fs/cgroup/memory";
const TREE_HINT = "or give a tree with --root DIR";

/**
 * @param visible the visible mounts.
 * @param lines of /proc/self/cgroup.
 * @param inNamespace whether this is not the initial cgroup namespace.
 * @param boot.cgroups text of /proc/cgroups; `undefined` where it cannot be read. @param boot.cmdline of /proc/cmdline.
 */
export function whyNoMemoryCgroups(
  visible: readonly Mount[],
  lines: readonly CgroupLine[],
  inNamespace: boolean,
  boot = { cgroups: tryReadText("/proc/cgroups"), cmdline: bootCommandLine() },
): Absence {
  // Only a controller that is attached to a v1 hierarchy has a line of its own.
  if (lines.some(({ controllers }) => controllers.includes("memory"))) {
    return {
      why: "the memory controller is in a cgroup v1 hierarchy, which is not mounted here",
      hint: `mount it with ${MOUNT_V1}, ${TREE_HINT}`,
    };
  }
  const controller = memoryController(boot.cgroups);
  if (controller === "disabled") return disabledAtBoot(boot.cmdline);
  const unified = visible.find(({ fsType }) => fsType === "cgroup2");
  if (unified === undefined && visible.some(({ fsType }) => fsType === "cgroup")) {
    return {
      why: "no cgroup v1 mount has the memory controller; " +
        "without CONFIG_MEMCG_V1 the kernel has it for v2 only",
      hint: `mount cgroup2, ${TREE_HINT}`,
    };
  }
  if (unified === undefined) {
    const why = "no cgroup file system is mounted";
    return controller === "none"
      ? { why: `${why}, and ${NO_CONTROLLER}`, hint: "use a kernel with CONFIG_MEMCG" }
      : { why, hint: `mount it with mount -t cgroup2 none /sys/fs/cgroup, ${TREE_HINT}` };
  }
  const why = `${unified.mountPoint} has no memory controller`;
  if (inNamespace || unified.root !== "/") {
    return {
      why: `${why}: it is not enabled for this cgroup`,
      hint: "its parent must enable it: write +memory to the parent's cgroup.subtree_control " +
        "(systemd: Delegate=memory)",
    };
  }
  if (controller === "none") {
    return { why: `${why}: ${NO_CONTROLLER}`, hint: "use a kernel with CONFIG_MEMCG" };
  }
  return {
    why: `${why}: it is in a cgroup v1 hierarchy, or disabled at boot`,
    hint: `try ${MOUNT_V1}, ${TREE_HINT}`,
  };
}

const NO_CONTROLLER = "/proc/cgroups lists no memory controller";

function disabledAtBoot(cmdline: string): Absence {
  const option = bootOptions("cgroup_disable", cmdline).includes("memory")
    ? "boot without cgroup_disable=memory"
    : "boot with cgroup_enable=memory";
  return { why: "the memory controller is disabled at boot", hint: option };
}

/** From /proc/cgroups: cgroups(7). Kernels without v1 controllers need not list any. */
function memoryController(
  text: string | undefined,
): "enabled" | "disabled" | "none" | "unknown" {
  if (text === undefined || !text.startsWith("#")) return "unknown";
  const enabled = /^memory\t\d+\t\d+\t([01])$/m.exec(text)?.[1];
  return enabled === undefined ? "none" : enabled === "1" ? "enabled" : "disabled";
}

const bootCommandLine = () => tryReadText("/proc/cmdline") ?? "";

/** The values of a boot option that may be repeated and takes a list, such as `cgroup_disable=memory,pressure`. */
function bootOptions(name: string, cmdline = bootCommandLine()): string[] {
  return cmdline.split(/\s+/).flatMap((word) => {
    const [key, value = ""] = word.split("=", 2);
    return key === name ? value.split(",") : [];
  });
}

const MACHINE_PRESSURE = "/proc/pressure/memory";

/** Why a cgroup has no pressure, in a clause. @param dir of a v2 cgroup; `undefined` for the machine's own pressure. */
export function whyNoPressure(dir?: string): string {
  if (!exists(MACHINE_PRESSURE)) {
    return exists("/proc/meminfo")
      ? "the kernel has no PSI (CONFIG_PSI, since 4.20)"
      : "/proc shows only processes (mounted with subset=pid)";
  }
  // With PSI disabled the file is there, but reading it fails.
  if (tryReadText(MACHINE_PRESSURE) === undefined) {
    return bootOptions("psi").some((value) => /^(0|n|no|off)$/i.test(value))
      ? "PSI is disabled; boot without psi=0 to enable it"
      : "PSI is disabled; boot with psi=1 to enable it";
  }
  if (dir === undefined) return `${MACHINE_PRESSURE} cannot be parsed`;
  if (tryReadText(`${dir}/cgroup.pressure`)?.trim() === "0") {
    return `PSI is off for this cgroup; write 1 to ${dir}/cgroup.pressure to turn it on`;
  }
  if (bootOptions("cgroup_disable").includes("pressure")) {
    return "PSI of cgroups is disabled; boot without cgroup_disable=pressure to enable it";
  }
  return exists(`${dir}/memory.pressure`)
    ? `${dir}/memory.pressure cannot be parsed`
    : "the cgroup has no memory.pressure: the kernel is older than 4.20, or the cgroup was removed";
}
