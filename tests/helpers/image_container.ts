/** The container image, run by runc like in the DaemonSet: with its limits, and the machine's pids and cgroups. */

import { dirname } from "node:path";
import { findShell, makeRootFileSystem } from "../../scripts/build/rootfs.ts";
import { makeStateDirectory, type StateDirectory } from "./guarded.ts";
import { type RealCgroup, removeCgroup } from "./real_cgroup.ts";
import { oomkit } from "./run_oomkit.ts";
import { type EventStream, startEventStream } from "./event_stream.ts";
import { isThere } from "./is_there.ts";

const MIB = 1024 ** 2;

/** An emulated CPU is about ten times slower. */
const CPU_FACTOR = /QEMU TCG/.test(Deno.readTextFileSync("/proc/cpuinfo")) ? 10 : 1;

/** Microseconds of CPU per 100 ms: 10m in Kubernetes, one percent. */
const CPU_QUOTA_US = 1000 * CPU_FACTOR;
const CPU_PERIOD_US = 100_000;

/** Why the image cannot be made from the program under test: a launcher needs its sources. */
export function noImageReason(): string | undefined {
  const [program = "", ...more] = oomkit();
  if (more.length > 0) return "the program under test is not an executable";
  using file = Deno.openSync(program);
  const magic = new Uint8Array(4);
  file.readSync(magic);
  return magic[0] === 0x7f ? undefined : "the program under test is not an executable";
}

export interface ImageOptions {
  readonly parent: RealCgroup;
  readonly args: readonly string[];
  /** Limits the CPU from the start, which then takes half a minute; otherwise once it is ready. */
  readonly limitsCpuAtStart?: boolean;
  /** Microseconds in each second for SCHED_FIFO threads (v1). */
  readonly realtime?: number;
}

export interface ImageContainer extends AsyncDisposable {
  readonly guard: EventStream;
  readonly state: StateDirectory;
  /** Ends it like a kubelet, without the CPU limit. */
  stop(): ReturnType<EventStream["stop"]>;
}

let started = 0;

/** Resolves once it guards. */
export async function startImage(options: ImageOptions): Promise<ImageContainer> {
  const { parent, limitsCpuAtStart = false } = options;
  const name = `oomkit-test-image-${Deno.pid}-${++started}`;
  const bundle = Deno.makeTempDirSync({ prefix: "oomkit-test-bundle-" });
  const state = makeStateDirectory();
  await using made = new AsyncDisposableStack();
  // Cleans up also when a later step fails, and continues when one of the removals fails.
  for (const dir of inOtherHierarchies(parent)) made.defer(() => removeCgroup(dir));
  made.use(state);
  made.defer(() => Deno.removeSync(bundle, { recursive: true }));
  made.defer(async () => void await runc(["delete", "--force", name]));
  makeRootFileSystem(`${bundle}/rootfs`, { program: oomkit()[0]!, shell: findShell() });
  const config = configOf(name, state.path, options);
  Deno.writeTextFileSync(`${bundle}/config.json`, JSON.stringify(config));
  if (options.realtime !== undefined) allowRealtime(parent, options.realtime);
  const guard = made.use(
    await startEventStream([name], {
      program: ["runc", "run", "--no-pivot", "--bundle", bundle],
      armed: /guarding .*\n/,
    }),
  );
  made.defer(async () => {
    // With one percent of a CPU the end takes seconds.
    await runc(["update", "--cpu-quota=-1", name]);
    await runc(["kill", name, "KILL"]);
  });
  if (!limitsCpuAtStart) await setQuota(name, CPU_QUOTA_US);
  const held = made.move();
  return {
    guard,
    state,
    async stop() {
      await setQuota(name, -1);
      return await guard.stop();
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

async function setQuota(name: string, quota: number): Promise<void> {
  const { success, stderr } = await runc([
    "update",
    `--cpu-period=${CPU_PERIOD_US}`,
    `--cpu-quota=${quota}`,
    name,
  ]);
  if (!success) throw new Error(`cannot limit the CPU: ${new TextDecoder().decode(stderr)}`);
}

function runc(args: string[]): Promise<Deno.CommandOutput> {
  return new Deno.Command("runc", { args, stdin: "null" }).output();
}

/** Like the killing overlays, without CAP_SYS_RESOURCE, which test machines may lack. */
function configOf(
  name: string,
  state: string,
  { parent, args, limitsCpuAtStart, realtime }: ImageOptions,
) {
  const capabilities = ["CAP_KILL", "CAP_SYS_NICE"];
  const own = parent.version === 1
    ? parent.dir.slice(parent.dir.lastIndexOf("/") + 1)
    : parent.path;
  const bind = (destination: string, source = destination) => ({
    destination,
    source,
    type: "bind",
    options: ["rbind", "rw"],
  });
  return {
    ociVersion: "1.0.2",
    root: { path: "rootfs", readonly: true },
    process: {
      args: ["/oomkit", ...args],
      cwd: "/",
      env: ["PATH=/bin", "NO_COLOR=1"],
      user: { uid: 0, gid: 0 },
      noNewPrivileges: true,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs" },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "nodev", "ro"] },
      bind("/sys/fs/cgroup"),
      bind("/run/oomkit", state),
    ],
    linux: {
      cgroupsPath: `${own}/${name}`,
      resources: {
        memory: { limit: 60 * MIB },
        cpu: {
          ...(limitsCpuAtStart ? { period: CPU_PERIOD_US, quota: CPU_QUOTA_US } : {}),
          ...(realtime === undefined
            ? {}
            : { realtimePeriod: 1_000_000, realtimeRuntime: realtime }),
        },
      },
      // No pid namespace, which is hostPID. On v2 the runtimes of Kubernetes give each container a cgroup namespace.
      namespaces: ["mount", "ipc", "uts", ...(parent.version === 2 ? ["cgroup"] : [])]
        .map((type) => ({ type })),
    },
  };
}

/** The budget of a cgroup is part of that of its parent, which has none in Kubernetes. */
function allowRealtime(parent: RealCgroup, microseconds: number): void {
  const dir = inOtherHierarchies(parent).find((each) =>
    isThere(`${dirname(each)}/cpu.rt_runtime_us`)
  )!;
  Deno.mkdirSync(dir);
  Deno.writeTextFileSync(`${dir}/cpu.rt_runtime_us`, String(microseconds));
}

/** Paths of the parent in the other v1 hierarchies: runc creates it there too, and does not remove it. */
function inOtherHierarchies(parent: RealCgroup): string[] {
  if (parent.version === 2) return [];
  const name = parent.dir.slice(parent.dir.lastIndexOf("/") + 1);
  const base = dirname(parent.dir.slice(0, parent.dir.length - parent.path.length));
  return Deno.readTextFileSync("/proc/self/cgroup").trim().split("\n").map((line) => {
    const [, controllers, own] = /^\d+:([^:]*):(.*)$/.exec(line)!;
    const mount = controllers === "" ? "unified" : controllers!.replace("name=", "");
    return `${base}/${mount}${own === "/" ? "" : own}/${name}`;
  }).filter((dir) => dir !== parent.dir);
}
