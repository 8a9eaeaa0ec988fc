/** OOMHero's pod, on real kernels: a guard beside processes that share its process namespace, told what to do by its variables. */

import assert from "node:assert/strict";
import {
  childrenOf,
  feedSlowly,
  isAlive,
  kernelKills,
  pidsOf,
  startGuarded,
  until,
} from "../helpers/guarded.ts";
import { kernelTest, MIB, ofType } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit } from "../helpers/run_oomkit.ts";
import { type Line, parseLine } from "../helpers/simulation.ts";
import type { EventStream, Json } from "../helpers/event_stream.ts";

/** The guard becomes process 1 of the namespace, as the first container of a pod is. */
const POD = `
$SIMULATE > "$0/bloat" 2> /dev/null &
mkfifo "$0/food"
( echo 0 > "$1/cgroup.procs"; exec tail -c 1000000000 < "$0/food" > /dev/null ) &
shift; exec "$@"`;

interface Pod extends AsyncDisposable {
  readonly guarded: EventStream;
  /** What the bloat has said so far. */
  lines(): Line[];
  /** Feeds who handles no signal, until its cgroup has so many bytes. */
  feed(bytes: number): Promise<void>;
  /** Ends the bloat as Ctrl-C does. */
  endBloat(): void;
}

/** A bloat in a cgroup of its own, and a process that handles no signal in that whose directory is given. */
async function startPod(
  deaf: RealCgroup,
  variables: Readonly<Record<string, string>>,
): Promise<Pod> {
  const folder = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const bloat = ["simulate", "--json", "--mb", "32", "--rate", "4M/s", "--on-signal", "free"];
  const namespace = ["unshare", "-p", "-f", "--mount-proc", "sh", "-c", POD, folder, deaf.dir];
  const guarded = await startGuarded(["--pod"], {
    program: [...namespace, ...oomkit()],
    env: { ...variables, SIMULATE: [...oomkit(), ...bloat].join(" ") },
  });
  const [init] = childrenOf(guarded.pid) as [number];
  const usageFile = deaf.version === 1 ? "memory.usage_in_bytes" : "memory.current";
  const food = await Deno.open(`${folder}/food`, { write: true });
  return {
    guarded,
    lines: () =>
      Deno.readTextFileSync(`${folder}/bloat`).split("\n").slice(0, -1).map((line) =>
        parseLine(line)
      ),
    async feed(bytes) {
      const writer = food.writable.getWriter();
      const feed = async (more: number) => await writer.write(new Uint8Array(more));
      await feedSlowly({ feed }, () => Number(deaf.read(usageFile)) >= bytes);
    },
    endBloat() {
      const simulation = childrenOf(init).find((pid) =>
        Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0").includes("simulate")
      )!;
      Deno.kill(simulation, "SIGINT");
    },
    async [Symbol.asyncDispose]() {
      // Everything in the namespace ends with its first process.
      if (isAlive(init)) Deno.kill(init, "SIGKILL");
      await guarded[Symbol.asyncDispose]();
      food.close();
      Deno.removeSync(folder, { recursive: true });
    },
  };
}

kernelTest("in a pod a bloat that is warned frees its memory and lives", async () => {
  await using deaf = makeRealCgroup("deaf");
  deaf.limit(32 * MIB);
  await using pod = await startPod(deaf, { WARNING: "70", CRITICAL: "85", COOLDOWN: "1" });
  const { guarded, lines } = pod;
  // Above the one level and well below the other: by how much a tail needs more than it was fed differs.
  await pod.feed(0.75 * 32 * MIB);
  const warned = await guarded.next(({ outcome }) => outcome === "signalled");
  assert.deepEqual([warned.level, warned.signal, warned.count], ["warn", "SIGUSR1", 1]);
  assert.equal(warned.limit, 32 * MIB);
  await until("the bloat has it", () => lines().some(({ type }) => type === "signal"));
  const at = lines().findIndex(({ type }) => type === "signal");
  const isSmaller = () => ofType(lines().slice(at), "step").some(({ usage }) => usage < 16 * MIB);
  await until("its memory is free", isSmaller);
  const nobody = await guarded.next((event: Json) =>
    event.action === "signal" && event.outcome === "failed"
  );
  assert.match(nobody.reason, /handles SIGUSR1/);
  assert.equal(pidsOf(deaf).length, 1);
  pod.endBloat();
  await until("the bloat has ended", () => lines().at(-1).type === "verdict");
  const verdict = lines().at(-1);
  assert.deepEqual([verdict.outcome, verdict.oom_kill_count], ["interrupted", 0]);
  assert.equal(kernelKills(deaf), 0);
});
