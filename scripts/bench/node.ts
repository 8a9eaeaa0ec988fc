/**
 * A guard on a full node, in a cgroup as the DaemonSet's: seconds until `/readyz` says yes, and its memory, by CPU limit.
 * `--pods 110 --containers 3 --cpu 10,50,100,200,none` (millicores) `--memory 128` (MiB) `--policy noop` (runs as the base does: not root)
 * `--rest 10` (seconds until the memory at rest is read) `--runs 1`. The executable is a copy that no process has read yet, as on a node that
 * has just pulled the image: its pages are charged to the guard. With `--warm` they are not.
 */

import { parseArgs } from "node:util";
import { type Cgroup, readCounters, readPeak, readUsage } from "../../core/cgroup/cgroup.ts";
import { tryReadText } from "../../core/cgroup/files.ts";
import { delay } from "../../core/timing.ts";
import { delegateMemory, forbidSwap, makeChild, MIB } from "../cgroups.ts";
import { executable, succeed } from "../command.ts";
import { Mistake, note, parsed, progress } from "../terminal.ts";
import {
  createBenchCgroup,
  endChild,
  makeBenchDirectory,
  removeAtEnd,
  startChild,
  within,
} from "./cleanup.ts";
import { costsOf } from "./costs.ts";
import { figure, type Measured, mebibytes, type Row, row } from "./statistics.ts";

/** The kernel's default period: kernel/sched/fair.c, default_cfs_period. */
const PERIOD_US = 100_000;
/** Two runs at once do not meet. */
const PORT = 19_000 + Deno.pid % 1000;
/** Longer than any startup probe waits. */
const START_MS = 900_000;
const SCRAPES = 5;
const USER = "65532";
/** Of util-linux: BusyBox, which the guest has, knows neither its options nor those of dd. */
const SETPRIV = "/usr/bin/setpriv";

/** The shell's process becomes the guard. */
const SCRIPT = 'for procs in $PROCS; do echo 0 >"$procs"; done; exec "$@" 2>"$ERR" >/dev/null';

interface Started {
  readonly readySeconds: number;
  readonly scrapesMs: readonly number[];
  readonly anonymous: number;
  /** Of the guard's cgroup, bytes. */
  readonly usage: number;
  readonly peak: number;
}

export async function node(args: readonly string[]): Promise<Measured> {
  const { pods, containers, cpu, memory, policy, rest, runs, warm } = parse(args);
  const bench = createBenchCgroup(Infinity);
  delegateMemory(bench);
  const tree = makeChild(bench, "kubepods");
  const cgroups = makePods(tree, pods, containers);
  const what = (limit: string) => `${limit === "none" ? limit : `${limit}m`}`;
  const ready: Row[] = [];
  const scrapes: Row[] = [];
  const memories: Row[] = [];
  for (const [at, limit] of cpu.entries()) {
    progress.show("bench: node", at, cpu.length);
    const started: Started[] = [];
    for (let run = 0; run < runs; run++) {
      started.push(await start({ bench, tree, limit, memory, policy, rest, warm }));
      const { anonymous, usage, peak } = started.at(-1)!;
      note(
        `node: CPU ${what(limit)}: ${mebibytes(anonymous)} anonymous; its cgroup ${
          mebibytes(usage)
        }, peak ${mebibytes(peak)}`,
      );
    }
    ready.push(row(what(limit), started.map(({ readySeconds }) => readySeconds)));
    scrapes.push(row(what(limit), started.flatMap(({ scrapesMs }) => scrapesMs)));
    for (const name of ["anonymous", "usage", "peak"] as const) {
      memories.push(row(`${what(limit)}: ${name}`, started.map((each) => each[name] / MIB)));
    }
  }
  return {
    tables: [
      { title: "ready after, by CPU limit", unit: "s", rows: ready },
      { title: "a scrape of /metrics", unit: "ms", rows: scrapes },
      { title: `memory, limit ${memory} MiB`, unit: "MiB", rows: memories },
    ],
    lines: [`${cgroups} cgroups: ${pods} pods of ${containers} containers; policy ${policy}`],
    isPart: args.length > 0,
  };
}

/** @returns how many cgroups there are then, the one above the pods among them. */
function makePods(tree: Cgroup, pods: number, containers: number): number {
  delegateMemory(tree);
  for (let n = 0; n < pods; n++) {
    const pod = makeChild(tree, `pod${n}`, containers * 64 * MIB);
    delegateMemory(pod);
    for (let each = 0; each < containers; each++) makeChild(pod, `c${each}`, 64 * MIB);
  }
  return 1 + pods * (1 + containers);
}

interface Start {
  readonly bench: Cgroup;
  readonly tree: Cgroup;
  readonly limit: string;
  readonly memory: number;
  readonly policy: string;
  readonly rest: number;
  readonly warm: boolean;
}

async function start({ bench, tree, limit, memory, policy, rest, warm }: Start): Promise<Started> {
  const home = makeChild(bench, "home", memory * MIB);
  forbidSwap(home);
  const cpu = limitCpu(home, limit);
  const directory = makeBenchDirectory();
  // The user of the base may read it.
  Deno.chmodSync(directory, 0o755);
  const err = `${directory}/err`;
  const program = warm ? executable : await coldCopy(directory);
  const args = ["guard", "--json", "-r", tree.path, "--policy", policy, "--listen", `:${PORT}`];
  const child = startChild(
    ["sh", "-c", SCRIPT, "sh", ...privileges(policy), program, ...args],
    {
      stdin: "null",
      env: {
        PROCS: [home.dir, ...cpu.directories].map((each) => `${each}/cgroup.procs`).join(" "),
        ERR: err,
      },
    },
    "SIGTERM",
  );
  const began = performance.now();
  const killed = () => readCounters(home)?.local.oomKill !== 0n;
  let hasEnded = false;
  void child.status.then(() => hasEnded = true);
  for (; !await isReady(); await delay(20)) {
    if (hasEnded || killed() || performance.now() - began > START_MS) {
      endChild(child);
      await child.status;
      const why = killed() ? `killed in its own ${memory} MiB` : tryReadText(err);
      throw new Mistake(`the guard with a CPU limit of ${limit} is not ready: ${why}`);
    }
  }
  const readySeconds = (performance.now() - began) / 1000;
  note(`node: CPU ${limit}: ready after ${figure(readySeconds)} s`);
  const scrapesMs: number[] = [];
  for (let n = 0; n < SCRAPES; n++) {
    const before = performance.now();
    const isWhole = await get("/metrics").then((response) => response.arrayBuffer())
      .then(() => true, () => false);
    if (isWhole) scrapesMs.push(performance.now() - before);
    else note(`node: CPU ${limit}: the guard closed the connection before /metrics was sent`);
  }
  await delay(1000 * rest);
  if (killed()) throw new Mistake(`the guard was killed in its own ${memory} MiB`);
  const { anonymous } = costsOf(child.pid);
  const [usage, peak] = [readUsage(home) ?? NaN, readPeak(home) ?? NaN];
  cpu.lift();
  endChild(child, "SIGTERM");
  if (!await within(60_000, child.status)) endChild(child);
  await child.status;
  Deno.removeSync(directory, { recursive: true });
  await removeEmptied(home.dir);
  for (const each of cpu.directories) await removeEmptied(each);
  return { readySeconds, scrapesMs, anonymous, usage, peak };
}

async function isReady(): Promise<boolean> {
  try {
    const response = await get("/readyz", AbortSignal.timeout(5000));
    await response.body?.cancel();
    return response.ok;
  } catch {
    // It does not listen yet, or has no CPU time left.
    return false;
  }
}

/** On a connection of its own: with little CPU time the guard closes one that was idle while it is used again. */
const get = (path: string, signal?: AbortSignal) =>
  fetch(`http://127.0.0.1:${PORT}${path}`, {
    headers: { connection: "close" },
    ...signal && { signal },
  });

/** As the container of the base, or of the overlays that kill. */
function privileges(policy: string): string[] {
  const ids = [SETPRIV, `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups"];
  return policy === "noop"
    ? [...ids, "--bounding-set=-all", "--inh-caps=-all"]
    : [SETPRIV, "--bounding-set=-all,+kill,+sys_nice"];
}

/** No page of it is in the page cache. @returns its path. */
async function coldCopy(directory: string): Promise<string> {
  const copy = `${directory}/oomkit`;
  await succeed("cp", [executable, copy]);
  await succeed("sync", [copy]);
  // posix_fadvise(2), POSIX_FADV_DONTNEED, of the whole file.
  await succeed("/usr/bin/dd", [`if=${copy}`, "iflag=nocache", "count=0", "status=none"]);
  return copy;
}

interface CpuLimit {
  /** The cgroups that have it, besides the guard's own. */
  readonly directories: readonly string[];
  readonly lift: () => void;
}

/** @param limit millicores; `none`. */
function limitCpu(home: Cgroup, limit: string): CpuLimit {
  const quota = limit === "none" ? undefined : Number(limit) * PERIOD_US / 1000;
  if (quota === undefined) return { directories: [], lift() {} };
  if (home.hierarchy.version.number === 2) {
    Deno.writeTextFileSync(`${home.dir}/../cgroup.subtree_control`, "+cpu");
    const set = (text: string) => Deno.writeTextFileSync(`${home.dir}/cpu.max`, text);
    set(`${quota} ${PERIOD_US}`);
    return { directories: [], lift: () => set("max") };
  }
  const [, own = "/"] = /^\d+:(?:[\w,]*,)?cpu(?:,[\w,]*)?:(.*)$/m.exec(
    Deno.readTextFileSync("/proc/self/cgroup"),
  ) ?? [];
  const directory = `/sys/fs/cgroup/cpu${own === "/" ? "" : own}/oomkit-bench-${Deno.pid}`;
  Deno.mkdirSync(directory);
  const set = (value: number) =>
    Deno.writeTextFileSync(`${directory}/cpu.cfs_quota_us`, String(value));
  removeAtEnd(() => removeEmptied(directory));
  Deno.writeTextFileSync(`${directory}/cpu.cfs_period_us`, String(PERIOD_US));
  set(quota);
  return { directories: [directory], lift: () => set(-1) };
}

/** The guard's restore watchdog exits a little later than the guard. */
async function removeEmptied(directory: string): Promise<void> {
  for (const deadline = performance.now() + 10_000;; await delay(20)) {
    try {
      return Deno.removeSync(directory);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      if (performance.now() > deadline) throw error;
    }
  }
}

function parse(args: readonly string[]) {
  const string = { type: "string" } as const;
  const options = {
    pods: string,
    containers: string,
    cpu: string,
    memory: string,
    policy: string,
    rest: string,
    runs: string,
    warm: { type: "boolean" },
  } as const;
  const { values } = parsed(
    () => parseArgs({ args: [...args], options }),
    `node takes --${Object.keys(options).join(", --")}`,
  );
  const number = (name: Exclude<keyof typeof options, "warm">, byDefault: number): number => {
    const value = Number(values[name] ?? byDefault);
    if (value > 0) return value;
    throw new Mistake(`cannot use --${name} ${values[name]}: it must be a number above 0`);
  };
  const cpu = (values.cpu ?? "10,50,100,200,none").split(",");
  const wrong = cpu.find((each) => each !== "none" && !(Number(each) > 0));
  if (wrong !== undefined) {
    throw new Mistake(`cannot use --cpu ${wrong}: it must be "none" or millicores`);
  }
  return {
    pods: number("pods", 110),
    containers: number("containers", 3),
    cpu,
    memory: number("memory", 128),
    policy: values.policy ?? "noop",
    rest: number("rest", 10),
    runs: number("runs", 1),
    warm: values.warm ?? false,
  };
}
