/** Other programs that kill before the kernel does, in the place of a guard in a race. */

import { dirname } from "node:path";
import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { isThere, removeIfThere } from "../files.ts";
import { MIB } from "../cgroups.ts";
import { Mistake } from "../terminal.ts";
import { endChild, startChild, within } from "./cleanup.ts";
import { type Kill, whyNot } from "./programs.ts";
import { LIMITS, type Peer, type RaceMode } from "./race_results.ts";

/** What races against the kernel. */
export interface Racer extends AsyncDisposable {
  /** Its first line. */
  readonly said: string;
  /** Waits until it guards a cgroup. @returns the usage in bytes at which it acts. */
  follow(cgroup: Cgroup, limit: number): Promise<number>;
  /** Processes of a cgroup that it has killed so far; without it, a process that ends and that the kernel has not killed is its. */
  kills?(cgroup: string): readonly Kill[];
}

/** Of the limit. */
const THRESHOLD = 0.9;
const START_MS = 3000;

/** Where systemd-oomd asks systemd which cgroups it manages. */
const MANAGER_SOCKET = "/run/systemd/io.system.ManagedOOM";
export const SYSTEMD_OOMD = "/lib/systemd/systemd-oomd";
const SYSTEMD_OOMD_CONFIG = "/run/systemd/oomd.conf.d/oomkit-bench.conf";

export const isPeer = (mode: RaceMode): mode is Peer =>
  mode === "earlyoom" || mode === "oomd" || mode === "systemd-oomd";

export function whyNotRaced(peer: Peer): string | undefined {
  if (peer !== "systemd-oomd") return whyNot([peer, peer === "oomd" ? "--version" : "-v"]);
  return whyNot([SYSTEMD_OOMD, "--version"]) ??
    (isThere(MANAGER_SOCKET)
      ? "systemd runs here, and the benchmark takes its place; use scripts/guest"
      : undefined);
}

/** With the shortest interval that it takes, and no pause after a kill where that can be set. */
export async function startPeer(peer: Peer, parent: Cgroup, directory: string): Promise<Racer> {
  // It looks at the pressure every second, and kills below `parent` after a second above the limit.
  const manager = peer === "systemd-oomd"
    ? playManager(
      [{ path: parent.path, property: "ManagedOOMMemoryPressure" }],
      "[OOM]\nDefaultMemoryPressureLimit=1%\nDefaultMemoryPressureDurationSec=1s\n",
    )
    : undefined;
  const child = startChild(argumentsOf(peer, parent, directory), {
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }, "SIGTERM");
  if (await within(START_MS, child.status)) throw new Mistake(`cannot race: ${peer} has ended`);
  return {
    said: `${peer}, pid ${child.pid}`,
    follow: (_cgroup, limit) => Promise.resolve(Math.round(THRESHOLD * limit)),
    async [Symbol.asyncDispose]() {
      endChild(child, "SIGTERM");
      if (!await within(START_MS, child.status)) endChild(child);
      await child.status;
      manager?.[Symbol.dispose]();
    },
  };
}

function argumentsOf(peer: Peer, parent: Cgroup, directory: string): string[] {
  if (peer === "earlyoom") return ["earlyoom", "-m", String(100 - 100 * THRESHOLD), "-r", "0"];
  if (peer === "systemd-oomd") return [SYSTEMD_OOMD];
  const config = `${directory}/oomd.json`;
  Deno.writeTextFileSync(config, JSON.stringify({ rulesets: LIMITS.map(rulesetOf) }));
  return ["oomd", "--config", config, "--interval=1", "--runtime-dir", directory];

  function rulesetOf(limit: number) {
    const cgroup = `${parent.path.slice(1)}/run${limit}-*`;
    const above = { cgroup, threshold: `${THRESHOLD * limit * MIB / 1024}K`, duration: "0" };
    return {
      name: `${limit} MiB`,
      detectors: [["above", { name: "memory_above", args: above }]],
      actions: [
        { name: "kill_by_memory_size_or_growth", args: { cgroup, post_action_delay: "0" } },
      ],
    };
  }
}

interface ManagedCgroup {
  readonly path: string;
  readonly property: "ManagedOOMMemoryPressure" | "ManagedOOMSwap";
}

/** systemd-oomd gets its cgroups from systemd over varlink, and the rest from its configuration. */
export function playManager(managed: readonly ManagedCgroup[], config: string): Disposable {
  for (const needed of [dirname(SYSTEMD_OOMD_CONFIG), "/run/systemd/oom"]) {
    Deno.mkdirSync(needed, { recursive: true });
  }
  Deno.writeTextFileSync(SYSTEMD_OOMD_CONFIG, config);
  const listener = Deno.listen({ transport: "unix", path: MANAGER_SOCKET });
  void answer();
  return {
    [Symbol.dispose]() {
      listener.close();
      for (const path of [MANAGER_SOCKET, SYSTEMD_OOMD_CONFIG]) removeIfThere(path);
    },
  };

  async function answer() {
    const parameters = { cgroups: managed.map((each) => ({ mode: "kill", ...each })) };
    const reply = new TextEncoder().encode(`${JSON.stringify({ parameters, continues: true })}\0`);
    try {
      for await (const connection of listener) {
        await connection.read(new Uint8Array(1024));
        await connection.write(reply);
      }
    } catch (error) {
      // The listener is closed, or systemd-oomd has ended.
      const { BadResource, BrokenPipe } = Deno.errors;
      if (!(error instanceof BadResource || error instanceof BrokenPipe)) throw error;
    }
  }
}
