/** `oomkit guard --pod` with OOMHero's variables, on real kernels: a guard that shares its pid namespace with other containers. */

import assert from "node:assert/strict";
import {
  childrenOf,
  feedSlowly,
  isAlive,
  kernelKills,
  pidsOf,
  startGuarded,
  until,
  usageOf,
} from "../helpers/guarded.ts";
import { kernelTest, MIB, ofType } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit } from "../helpers/run_oomkit.ts";
import { type Line, parseLine } from "../helpers/simulation.ts";
import type { EventStream, Json } from "../helpers/event_stream.ts";

/** The guard becomes process 1 of the namespace, like the first container of a pod. */
const POD = `
mkfifo "$0/input" "$0/begin"
( read begin < "$0/begin"; exec $SIMULATE > "$0/lines" 2> /dev/null ) &
( echo 0 > "$1/cgroup.procs"; exec tail -c 1000000000 < "$0/input" > /dev/null ) &
shift; exec "$@"`;

interface Pod extends AsyncDisposable {
  readonly guarded: EventStream;
  /** What the simulation has printed so far. */
  lines(): Line[];
  /** Feeds the process without a handler until its cgroup uses so many bytes. */
  feed(bytes: number): Promise<void>;
  /** Sends SIGINT to the simulation. */
  endSimulation(): void;
}

/** Starts a simulation in its own cgroup, and a process that handles no signal in the given one. */
async function startPod(
  withoutHandler: RealCgroup,
  variables: Readonly<Record<string, string>>,
): Promise<Pod> {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const simulate = ["simulate", "--json", "--mb", "32", "--rate", "2M/s", "--on-signal", "free"];
  const namespace = [
    "unshare",
    "-p",
    "-f",
    "--mount-proc",
    "sh",
    "-c",
    POD,
    directory,
    withoutHandler.dir,
  ];
  const guarded = await startGuarded(["--pod"], {
    program: [...namespace, ...oomkit()],
    env: { ...variables, SIMULATE: [...oomkit(), ...simulate].join(" ") },
  });
  // On a slow machine it would be at its limit before the guard has started.
  await Deno.writeTextFile(`${directory}/begin`, "now\n");
  const [init] = childrenOf(guarded.pid) as [number];
  const input = await Deno.open(`${directory}/input`, { write: true });
  return {
    guarded,
    lines: () =>
      Deno.readTextFileSync(`${directory}/lines`).split("\n").slice(0, -1).map((line) =>
        parseLine(line)
      ),
    async feed(bytes) {
      const writer = input.writable.getWriter();
      const feed = async (more: number) => await writer.write(new Uint8Array(more));
      await feedSlowly({ feed }, () => usageOf(withoutHandler) >= bytes);
    },
    endSimulation() {
      const simulation = childrenOf(init).find((pid) =>
        Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0").includes("simulate")
      )!;
      Deno.kill(simulation, "SIGINT");
    },
    async [Symbol.asyncDispose]() {
      // When the first process of a pid namespace exits, the kernel kills the others.
      if (isAlive(init)) Deno.kill(init, "SIGKILL");
      await guarded[Symbol.asyncDispose]();
      input.close();
      Deno.removeSync(directory, { recursive: true });
    },
  };
}

kernelTest("in a pod, a process that frees its memory on the warning signal survives", async () => {
  await using withoutHandler = makeRealCgroup("no-handler");
  withoutHandler.limit(32 * MIB);
  await using pod = await startPod(withoutHandler, {
    WARNING: "70",
    CRITICAL: "85",
    COOLDOWN: "1",
  });
  const { guarded, lines } = pod;
  // Above warn and well below critical: how much more than its input tail(1) uses varies.
  await pod.feed(0.75 * 32 * MIB);
  const warned = await guarded.next(({ outcome }) => outcome === "signalled");
  assert.deepEqual([warned.level, warned.signal, warned.count], ["warn", "SIGUSR1", 1]);
  assert.equal(warned.limit, 32 * MIB);
  await until("the simulation receives it", () => lines().some(({ type }) => type === "signal"));
  const at = lines().findIndex(({ type }) => type === "signal");
  const isSmaller = () => ofType(lines().slice(at), "step").some(({ usage }) => usage < 16 * MIB);
  await until("its memory is free", isSmaller);
  const failed = await guarded.next((event: Json) =>
    event.action === "signal" && event.outcome === "failed"
  );
  assert.match(failed.reason, /handles SIGUSR1/);
  assert.equal(pidsOf(withoutHandler).length, 1);
  pod.endSimulation();
  await until("the simulation has ended", () => lines().at(-1).type === "verdict");
  const verdict = lines().at(-1);
  assert.deepEqual([verdict.outcome, verdict.oom_kill_count], ["interrupted", 0]);
  assert.equal(kernelKills(withoutHandler), 0);
});
