/** What is on the guest's disk: the programs of Debian that tests need, the libraries of each, and the files of one run. */

import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { isThere } from "../files.ts";
import type { Entry } from "./cpio.ts";

export type Hierarchy = "v2" | "v1" | "hybrid";

/** As Debian names it. */
export type Architecture = "amd64" | "arm64";

interface Contents {
  readonly cgroup: Hierarchy;
  /** Program and arguments, run by the guest's shell with PATH as on a Debian machine. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Host paths by guest path; a directory comes with all that it holds. */
  readonly files: Readonly<Record<string, string>>;
  /** Programs by guest path, which need their shared libraries. */
  readonly programs: Readonly<Record<string, string>>;
  readonly disk: boolean;
  /** In the place of what this machine has. */
  readonly userland?: Userland;
  /** Seconds after which the guest switches itself off. */
  readonly limit: number;
}

/** Of an architecture that this machine does not run. */
export interface Userland {
  /** A static busybox of the same release as this machine's. */
  readonly busybox: string;
  /** Those of all programs, by guest path. */
  readonly libraries: Readonly<Record<string, string>>;
  /** By guest path. */
  readonly programs: Readonly<Record<string, string>>;
}

/** In the order in which they must be loaded; the kernel package has them as modules, unlike ext4. */
const diskModules = [
  "drivers/virtio/virtio_ring.ko",
  "drivers/virtio/virtio.ko",
  "drivers/virtio/virtio_pci_legacy_dev.ko",
  "drivers/virtio/virtio_pci_modern_dev.ko",
  "drivers/virtio/virtio_pci.ko",
  "drivers/block/virtio_blk.ko",
];

/** The same for swap on zram, which a test loads. zram needs other compressions in each release. */
const zramModules = [
  "crypto/lzo-rle.ko",
  "lib/lz4/lz4_compress.ko",
  "lib/lz4/lz4hc_compress.ko",
  "lib/zstd/zstd_compress.ko",
  "mm/zsmalloc.ko",
  "drivers/block/zram/zram.ko",
];

/** Mount points, and what tests expect to find. */
const directories = ["/proc", "/sys", "/dev", "/run", "/mnt", "/disk", "/root", "/out", "/var/tmp"];

const passwd = `root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
tester:x:1000:1000:tester:/home/tester:/bin/sh
`;

const group = "root:x:0:\nnogroup:x:65534:\ntester:x:1000:\n";

const copy = (path: string, from: string): Entry => ({ kind: "copy", path, from, mode: 0o755 });

/** A kernel of Debian, installed or only unpacked. */
export interface Kernel {
  readonly path: string;
  /** As in the name of its directory of modules: 6.1.0-56-cloud-amd64. */
  readonly version: string;
  /** The root of the file system that has its modules. */
  readonly root: string;
}

export function imageEntries(contents: Contents, kernel: Kernel): Entry[] {
  return [
    ...directories.map((path): Entry => ({ kind: "directory", path })),
    { kind: "directory", path: "/tmp", mode: 0o1777 },
    { kind: "directory", path: "/home/tester" },
    { kind: "link", path: "/sbin", to: "bin" },
    { kind: "link", path: "/usr/bin", to: "../bin" },
    { kind: "link", path: "/usr/sbin", to: "../bin" },
    { kind: "text", path: "/etc/passwd", text: passwd },
    { kind: "text", path: "/etc/group", text: group },
    { kind: "text", path: "/etc/hosts", text: "127.0.0.1 localhost guest\n" },
    { kind: "link", path: "/init", to: "guest/init" },
    copy("/guest/init", fileURLToPath(new URL("./init.sh", import.meta.url))),
    { kind: "text", path: "/guest/settings", text: settingsText(contents) },
    { kind: "text", path: "/guest/command", text: commandText(contents) },
    ...busybox(contents.userland?.busybox),
    ...programs(
      { ...contents.userland?.programs, ...contents.programs },
      contents.userland?.libraries,
    ),
    ...Object.entries(contents.files).flatMap(([path, from]) => copies(path, from)),
    ...(contents.disk ? modules(kernel, diskModules, "/guest/modules") : []),
    ...modules(kernel, zramModules, "/guest/zram"),
  ];
}

function settingsText({ cgroup, limit, disk }: Contents): string {
  return `cgroup=${cgroup}\nlimit=${limit}\ndisk=${disk ? "yes" : "no"}\n`;
}

function commandText({ command, environment }: Contents): string {
  const exports = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root", ...environment };
  const lines = Object.entries(exports).map(([name, value]) => `export ${name}=${quoted(value)}`);
  return `${lines.join("\n")}\nexec ${command.map(quoted).join(" ")}\n`;
}

/** For a POSIX shell. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

function busybox(other: string | undefined): Entry[] {
  const own = findProgram("busybox");
  if (own === undefined) throw new Error("cannot build the guest: busybox is not installed");
  const applets = ran(own, "--list").stdout.split("\n").filter((name) => name !== "");
  return [
    copy("/bin/busybox", other ?? own),
    ...applets.filter((name) => name !== "busybox").map((name): Entry => ({
      kind: "link",
      path: `/bin/${name}`,
      to: "busybox",
    })),
  ];
}

function programs(
  byPath: Contents["programs"],
  libraries = librariesOfAll(Object.values(byPath)),
): Entry[] {
  return Object.entries({ ...byPath, ...libraries }).map(([path, from]) => copy(path, from));
}

/** A library goes where the loader of the host found it, whatever links lead there. */
const librariesOfAll = (programs: readonly string[]): Record<string, string> =>
  Object.fromEntries(programs.flatMap(librariesOf).map((path) => [path, path]));

function modules(
  { root, version }: Kernel,
  names: readonly string[],
  inGuest: string,
): Entry[] {
  // A package of Debian 13 or later has no /lib, which is a link to /usr/lib on an installed system.
  const directories = ["lib", "usr/lib"].map((lib) =>
    join(root, lib, "modules", version, "kernel")
  );
  return names.flatMap((module, index): Entry[] => {
    // Newer Debian compresses them; a kernel that has the driver built in has no file.
    const from = directories.flatMap((directory) =>
      ["", ".xz"].map((suffix) => join(directory, module + suffix))
    ).find(isThere);
    if (from === undefined) return [];
    return [{ kind: "copy", path: `${inGuest}/${index}_${basename(from)}`, from }];
  });
}

function copies(path: string, from: string): Entry[] {
  const info = Deno.statSync(from);
  if (!info.isDirectory) {
    return [{ kind: "copy", path, from: resolve(from), mode: (info.mode ?? 0o644) & 0o7777 }];
  }
  return [...Deno.readDirSync(from)].flatMap(({ name }) =>
    copies(join(path, name), join(from, name))
  );
}

/** Looks in PATH and in the directories of the administrator, which PATH may lack. */
export function findProgram(name: string): string | undefined {
  const path = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/sbin"];
  return path.filter((directory) => directory !== "").map((directory) => join(directory, name))
    .find(isThere);
}

/** What ldd(1) asks as well; a small system has no ldd, which is a script for bash. */
const LOADERS = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];

/**
 * The shared libraries that a program needs, as the loader of this machine finds them.
 * @returns absolute paths, the loader included; none for a static program.
 */
export function librariesOf(program: string): string[] {
  const loader = LOADERS.find(isThere);
  if (loader === undefined) throw new Error(`cannot ask what ${program} needs: there is no loader`);
  // It would crash of a static program if it were not asked this first.
  if (ran(loader, "--verify", program).code === 1) return [];
  const lines = ran(loader, "--list", program).stdout.split("\n");
  return lines.flatMap((line) => line.match(/(?:=> )?(\/\S+) \(0x/)?.[1] ?? []);
}

function ran(program: string, ...args: string[]): { code: number; stdout: string } {
  const { code, stdout } = new Deno.Command(program, { args, stderr: "null", env: { LC_ALL: "C" } })
    .outputSync();
  return { code, stdout: new TextDecoder().decode(stdout) };
}

/** @returns the newest cloud kernel of Debian, if `root` has one. */
export function findKernel(root = "/", architecture: Architecture = "amd64"): Kernel | undefined {
  const directory = join(root, "boot");
  const order = new Intl.Collator("en", { numeric: true });
  const entries = isThere(directory) ? [...Deno.readDirSync(directory)] : [];
  const newest = entries.map(({ name }) => name)
    .filter((name) => name.startsWith("vmlinuz-") && name.endsWith(`-cloud-${architecture}`)).sort(
      order.compare,
    ).at(-1);
  return newest === undefined ? undefined : kernelAt(join(directory, newest));
}

/** @param path of a kernel; in a directory `boot`, its modules are beside that, else in `/`. */
export function kernelAt(path: string): Kernel {
  const directory = dirname(path);
  const root = basename(directory) === "boot" ? dirname(directory) : "/";
  return { path, root, version: basename(path).replace(/^vmlinuz-/, "") };
}
