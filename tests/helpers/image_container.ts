/** The container image, run by runc as the DaemonSet runs it: its limits, the machine's pids and the machine's cgroups. */

import { dirname } from "node:path";
import { findShell, makeRootFileSystem } from "../../scripts/build/root_file_system.ts";
import { makeStateFolder, type StateFolder } from "./guarded.ts";
import { type RealCgroup, removeCgroup } from "./real_cgroup.ts";
import { oomkit } from "./run_oomkit.ts";
import { startTelling, type Telling } from "./telling.ts";
import { isThere } from "./is_there.ts";

const MIB = 1024 ** 2;

/** An emulated CPU is some ten times slower, so that this much more of it is the same. */
const SLOWNESS = /QEMU TCG/.test(Deno.readTextFileSync("/proc/cpuinfo")) ? 10 : 1;

/** Microseconds of CPU in each 100 ms: 10m, as Kubernetes writes one percent. */
const QUOTA = 1000 * SLOWNESS;
const PERIOD = 100_000;

/** Why the image cannot be made of the program under test: a launcher needs its sources. */
export function whyNoImage(): string | undefined {
  const [program = "", ...more] = oomkit();
  if (more.length > 0) return "the program under test is no executable";
  using file = Deno.openSync(program);
  const magic = new Uint8Array(4);
  file.readSync(magic);
  return magic[0] === 0x7f ? undefined : "the program under test is no executable";
}

export interface ImageOptions {
  readonly parent: RealCgroup;
  readonly args: readonly string[];
  /** From the beginning, where a start takes half a minute then; else from when it is ready. */
  readonly slowFromTheStart?: boolean;
  /** Microseconds in each second for SCHED_FIFO threads (v1). */
  readonly realtime?: number;
}

export interface ImageContainer extends AsyncDisposable {
  readonly guard: Telling;
  readonly state: StateFolder;
  /** Ends it as a kubelet does, with as much CPU as it likes. */
  stop(): ReturnType<Telling["stop"]>;
}

let started = 0;

/** Resolves when it guards. */
export async function startImage(options: ImageOptions): Promise<ImageContainer> {
  const { parent, slowFromTheStart = false } = options;
  const name = `oomkit-test-image-${Deno.pid}-${++started}`;
  const bundle = Deno.makeTempDirSync({ prefix: "oomkit-test-bundle-" });
  const state = makeStateFolder();
  await using made = new AsyncDisposableStack();
  // What it has made is removed also when the rest of this fails, and the rest when one of these does.
  for (const dir of elsewhere(parent)) made.defer(() => removeCgroup(dir));
  made.use(state);
  made.defer(() => Deno.removeSync(bundle, { recursive: true }));
  made.defer(async () => void await runc(["delete", "--force", name]));
  makeRootFileSystem(`${bundle}/rootfs`, { program: oomkit()[0]!, shell: findShell() });
  const config = configOf(name, state.path, options);
  Deno.writeTextFileSync(`${bundle}/config.json`, JSON.stringify(config));
  if (options.realtime !== undefined) allowRealtime(parent, options.realtime);
  const guard = made.use(
    await startTelling([name], {
      program: ["runc", "run", "--no-pivot", "--bundle", bundle],
      armed: /guarding .*\n/,
    }),
  );
  made.defer(async () => {
    // With one percent of a CPU its end would take seconds.
    await runc(["update", "--cpu-quota=-1", name]);
    await runc(["kill", name, "KILL"]);
  });
  if (!slowFromTheStart) await setQuota(name, QUOTA);
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
    `--cpu-period=${PERIOD}`,
    `--cpu-quota=${quota}`,
    name,
  ]);
  if (!success) throw new Error(`cannot limit the CPU: ${new TextDecoder().decode(stderr)}`);
}

function runc(args: string[]): Promise<Deno.CommandOutput> {
  return new Deno.Command("runc", { args, stdin: "null" }).output();
}

/** As the overlays that kill are laid out; without CAP_SYS_RESOURCE, which test machines may lack. */
function configOf(
  name: string,
  state: string,
  { parent, args, slowFromTheStart, realtime }: ImageOptions,
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
          ...(slowFromTheStart ? { period: PERIOD, quota: QUOTA } : {}),
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

/** A cgroup's budget is part of its parent's, which in Kubernetes nobody gives one. */
function allowRealtime(parent: RealCgroup, microseconds: number): void {
  const dir = elsewhere(parent).find((each) => isThere(`${dirname(each)}/cpu.rt_runtime_us`))!;
  Deno.mkdirSync(dir);
  Deno.writeTextFileSync(`${dir}/cpu.rt_runtime_us`, String(microseconds));
}

/** Where the parent is, or would be, in the other hierarchies of v1: there runc makes it, too, and leaves it. */
function elsewhere(parent: RealCgroup): string[] {
  if (parent.version === 2) return [];
  const name = parent.dir.slice(parent.dir.lastIndexOf("/") + 1);
  const base = dirname(parent.dir.slice(0, parent.dir.length - parent.path.length));
  return Deno.readTextFileSync("/proc/self/cgroup").trim().split("\n").map((line) => {
    const [, controllers, own] = /^\d+:([^:]*):(.*)$/.exec(line)!;
    const mount = controllers === "" ? "unified" : controllers!.replace("name=", "");
    return `${base}/${mount}${own === "/" ? "" : own}/${name}`;
  }).filter((dir) => dir !== parent.dir);
}
