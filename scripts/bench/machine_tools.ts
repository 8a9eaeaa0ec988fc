/** The programs that `bench:machine` compares, each as its package configures it. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { delay } from "../../core/timing.ts";
import { isThere } from "../files.ts";
import { endChild, startChild, within as isWithin } from "./cleanup.ts";
import { cpuSeconds } from "./costs.ts";
import type { Tool } from "./machine_results.ts";
import { within } from "./machine_workloads.ts";
import { whyNot } from "./programs.ts";
import { playManager, SYSTEMD_OOMD } from "./race_peers.ts";

/** Where it runs, and the cgroup that stands for the root: of the services in system.slice below it. */
export interface Places {
  readonly home: Cgroup;
  readonly top: Cgroup;
  readonly services: Cgroup;
  /** The executable of oomkit. */
  readonly program: string;
}

/** Of Debian's packages; the paths are those in the guest. */
const COMMANDS: Readonly<Record<Exclude<Tool, "none">, (places: Places) => readonly string[]>> = {
  // /etc/default/earlyoom
  earlyoom: () => ["earlyoom", "-r", "3600"],
  // nohang.service
  nohang: () => [
    "python3.11",
    "/usr/sbin/nohang",
    "--monitor",
    "--config",
    "/etc/nohang/nohang.conf",
  ],
  "systemd-oomd": () => [SYSTEMD_OOMD],
  // /etc/default/oomd, with another place for the root of its cgroups
  oomd: ({ top }) => [
    "oomd",
    ...["--interval", "1", "--config", "/etc/oomd/oomd.json", "--cgroup-fs", top.dir],
  ],
  oomkit: ({ program }) => [program, ...GUARD, "process"],
  "oomkit-growth": ({ program }) => [program, ...GUARD, "container", "--victim-order", "growth"],
};

const GUARD = ["guard", "--machine", "--json", "--quiet", "--policy"];

/** systemd-oomd.service */
const SYSTEMD_OOMD_ADJ = -900;
/** oomd.conf.d/10-oomd-defaults.conf, and the limit of user@.service */
const SYSTEMD_OOMD_CONFIG =
  "[OOM]\nDefaultMemoryPressureLimit=50%\nDefaultMemoryPressureDurationSec=20s\n";

export interface RunningTool extends AsyncDisposable {
  readonly pid: number | undefined;
  isAlive(): boolean;
}

/** Why it cannot be compared here. */
export function whyNotCompared(tool: Tool, version: 1 | 2): string | undefined {
  if (tool === "none" || tool.startsWith("oomkit")) return undefined;
  if (version === 1 && tool.endsWith("oomd")) return "it needs cgroup v2";
  if (tool === "nohang") {
    return isThere("/usr/sbin/nohang")
      ? whyNot(["python3.11", "-c", "import ctypes, logging"])
      : "it is not installed";
  }
  if (tool === "systemd-oomd") return whyNot([SYSTEMD_OOMD, "--version"]);
  return whyNot([tool, tool === "oomd" ? "--version" : "-v"]);
}

/** Returns when it is at rest. @param output where its own goes. */
export async function startTool(
  tool: Tool,
  places: Places,
  output: "null" | "inherit",
): Promise<RunningTool> {
  if (tool === "none") {
    return { pid: undefined, isAlive: () => true, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const manager = tool === "systemd-oomd"
    ? playManager([
      { path: "/", property: "ManagedOOMSwap" },
      { path: places.services.path, property: "ManagedOOMMemoryPressure" },
    ], SYSTEMD_OOMD_CONFIG)
    : undefined;
  const { words, env } = within(
    places.home,
    COMMANDS[tool](places),
    tool === "systemd-oomd" ? SYSTEMD_OOMD_ADJ : 0,
  );
  const child = startChild(words, { stdin: "null", stdout: output, stderr: output, env });
  let hasEnded = false;
  void child.status.then(() => hasEnded = true);
  await settled(child.pid, () => hasEnded);
  return {
    pid: child.pid,
    isAlive: () => !hasEnded,
    async [Symbol.asyncDispose]() {
      endChild(child, "SIGTERM");
      if (!await isWithin(STOP_MS, child.status)) endChild(child);
      await child.status;
      manager?.[Symbol.dispose]();
    },
  };
}

const STOP_MS = 20_000;
const SETTLED_MS = 1000;
const MAX_STARTS = 40;
/** The slowest one takes less at rest, in the emulated machine. */
const CPU_AT_REST = 0.15;

/** Waits until it takes little CPU time: it has read its configuration, and compiled what it runs. */
async function settled(pid: number, hasEnded: () => boolean): Promise<void> {
  for (let second = 0; second < MAX_STARTS && !hasEnded(); second++) {
    const before = cpuSeconds(pid);
    await delay(SETTLED_MS);
    if (!hasEnded() && second > 0 && cpuSeconds(pid) - before < CPU_AT_REST) return;
  }
}
