/** A real runc container with the machine's own programs, below a cgroup of the tests. */

import { dirname } from "node:path";
import type { RealCgroup } from "./real_cgroup.ts";
import { oomkitForAllUsers, type Ran } from "./run_oomkit.ts";

/** Why no container can be started here; `undefined` when one can. */
export function whyNoRunc(): string | undefined {
  try {
    const { success } = new Deno.Command("runc", { args: ["--version"] }).outputSync();
    return success ? undefined : "runc does not work";
  } catch {
    return "runc is not installed";
  }
}

export interface ContainerOptions {
  readonly parent: Pick<RealCgroup, "version" | "path" | "dir">;
  /** Bytes. */
  readonly limit: number;
  /** False keeps the machine's cgroup namespace, as older runtimes do. */
  readonly cgroupNamespace: boolean;
  /** Its name and the last part of its cgroup's path, such as Docker's 64 hex digits; by default a generated one. */
  readonly id?: string;
  /** Prefix of a directory for its files and its state; by default runc keeps the state where oomkit finds it. */
  readonly directoryPrefix?: string;
}

/** Disposing of it twice is harmless. */
export interface Container extends AsyncDisposable {
  readonly name: string;
  /** What runc(8) takes before the name of a command to find it. */
  readonly rootFlags: readonly string[];
  /** The path of the cgroup on the machine. */
  readonly path: string;
  /** Runs oomkit in the container. */
  oomkit(args: readonly string[]): Promise<Ran>;
  /** Runs one of the machine's programs in the container. */
  exec(
    args: readonly string[],
  ): Promise<Ran & { /** In the machine's pid namespace. */ pid: number }>;
}

let made = 0;

/** The container's init process only waits; resolves when it runs. */
export async function startContainer(options: ContainerOptions): Promise<Container> {
  const name = options.id ?? `oomkit-test-${Deno.pid}-${++made}`;
  const shared = await oomkitForAllUsers();
  const bundle = Deno.makeTempDirSync({ prefix: options.directoryPrefix ?? "oomkit-test-bundle-" });
  const rootFlags = options.directoryPrefix === undefined ? [] : ["--root", `${bundle}/state`];
  const runc = (...args: string[]) => runcOutput([...rootFlags, ...args]);
  const [program, ...flags] = shared.program as [string, ...string[]];
  const script = flags.at(-1) ?? program;
  for (const dir of ["proc", "sys", "dev", "tmp", "program"]) {
    Deno.mkdirSync(`${bundle}/rootfs/${dir}`, { recursive: true });
  }
  const binds = [
    ...["/bin", "/sbin", "/usr", "/lib", "/lib64", "/etc"].filter(isDirectory).map((
      dir,
    ) => [dir, dir]),
    [program, "/program/oomkit"],
    [script, "/program/oomkit.js"],
  ] as [string, string][];
  Deno.writeTextFileSync(`${bundle}/config.json`, JSON.stringify(configOf(name, binds, options)));
  const child = new Deno.Command("runc", {
    args: [...rootFlags, "run", "--no-pivot", "--bundle", bundle, name],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdout = child.stdout.getReader();
  const { done } = await stdout.read();
  await stdout.cancel();
  if (done) throw new Error(`cannot start a container: ${await new Response(child.stderr).text()}`);
  const inside = [
    `/program/oomkit`,
    ...flags.slice(0, -1),
    ...(flags.length > 0 ? ["/program/oomkit.js"] : []),
  ];
  let ended = false;
  return {
    name,
    rootFlags,
    path: `${options.parent.path}/${name}`,
    oomkit: (args) =>
      runc("exec", "--env", "NO_COLOR=1", "--env", "DENO_DIR=/tmp", name, ...inside, ...args),
    async exec(args) {
      const pidFile = `${bundle}/pid`;
      const ran = await runc("exec", "--pid-file", pidFile, name, ...args);
      return { ...ran, pid: Number(Deno.readTextFileSync(pidFile)) };
    },
    async [Symbol.asyncDispose]() {
      if (ended) return;
      ended = true;
      await runc("delete", "--force", name);
      await child.status;
      await child.stderr.cancel();
      shared[Symbol.dispose]();
      Deno.removeSync(bundle, { recursive: true });
      removeElsewhere(options.parent);
    },
  };
}

async function runcOutput(args: string[]): Promise<Ran> {
  const { code, stdout, stderr } = await new Deno.Command("runc", { args, stdin: "null" }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

function configOf(
  name: string,
  binds: readonly (readonly [string, string])[],
  { parent, limit, cgroupNamespace }: ContainerOptions,
) {
  const readOnly = ["nosuid", "nodev", "ro"];
  // A relative path is below runc's own cgroup in each v1 hierarchy.
  const cgroup = parent.version === 1
    ? parent.dir.slice(parent.dir.lastIndexOf("/") + 1)
    : parent.path;
  return {
    ociVersion: "1.0.2",
    root: { path: "rootfs" },
    process: {
      args: ["/bin/sh", "-c", "echo ready; exec sleep 1000"],
      cwd: "/",
      env: ["PATH=/usr/bin:/bin:/sbin"],
      user: { uid: 0, gid: 0 },
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs" },
      { destination: "/tmp", type: "tmpfs", source: "tmpfs" },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: readOnly },
      { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: readOnly },
      ...binds.map(([source, destination]) => ({
        destination,
        type: "bind",
        source,
        options: ["bind", "ro"],
      })),
    ],
    linux: {
      cgroupsPath: `${cgroup}/${name}`,
      resources: { memory: { limit } },
      namespaces: ["pid", "mount", "ipc", "uts", ...(cgroupNamespace ? ["cgroup"] : [])]
        .map((type) => ({ type })),
    },
  };
}

/** runc creates the parent in every v1 hierarchy and leaves it there; only that of the memory hierarchy is the test's own. */
function removeElsewhere(parent: ContainerOptions["parent"]): void {
  if (parent.version === 2) return;
  const name = parent.dir.slice(parent.dir.lastIndexOf("/") + 1);
  const base = dirname(parent.dir.slice(0, parent.dir.length - parent.path.length));
  for (const line of Deno.readTextFileSync("/proc/self/cgroup").trim().split("\n")) {
    const [, controllers, own] = /^\d+:([^:]*):(.*)$/.exec(line)!;
    const mount = controllers === "" ? "unified" : controllers!.replace("name=", "");
    const dir = `${base}/${mount}${own === "/" ? "" : own}/${name}`;
    if (dir === parent.dir || !isDirectory(dir)) continue;
    Deno.removeSync(dir);
  }
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
