/** Starts an emulated machine, carries its three channels, and makes sure that it ends. */

import { join } from "node:path";
import { tryReadText } from "../../core/cgroup/files.ts";
import { succeed } from "../command.ts";
import { isThere } from "../files.ts";
import { writeArchive } from "./cpio.ts";
import { type Contents, findProgram, imageEntries } from "./image.ts";

interface Machine {
  readonly kernel: { readonly path: string; readonly version: string };
  /** MiB. The programs in the first root take 230 of them. */
  readonly memory: number;
  /** Bytes of the disk at /disk; 0 for none. */
  readonly disk: number;
  /** A folder for what the guest leaves in its /out. */
  readonly out?: string;
  /** Where to keep the archive and the sockets while the machine runs. */
  readonly workFolder: string;
  readonly onOutput: (channel: "stdout" | "stderr", bytes: Uint8Array) => void;
  readonly onStage?: (what: string) => void;
  /** Ends the machine at once. */
  readonly signal?: AbortSignal;
}

export interface Outcome {
  /** Of the command; undefined when the machine ended without telling. */
  readonly code?: number;
  /** Why there is no code, in one line. */
  readonly failure?: string;
  /** What the kernel printed. */
  readonly console: string;
}

/** The host's deadline comes after the guest's own, which can still say what happened. */
const deadlineSlack = 10;

export async function runMachine(machine: Machine, contents: Contents): Promise<Outcome> {
  Deno.mkdirSync(machine.workFolder, { recursive: true });
  removeStale(machine.workFolder);
  const folder = Deno.makeTempDirSync({ dir: machine.workFolder, prefix: `${Deno.pid}-` });
  try {
    return await runIn(folder, machine, contents);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** What a run that was killed could not remove: 100 MB and more. */
function removeStale(folder: string): void {
  for (const { name } of Deno.readDirSync(folder)) {
    const pid = name.split("-")[0];
    if (!isThere(`/proc/${pid}`)) Deno.removeSync(join(folder, name), { recursive: true });
  }
}

async function runIn(folder: string, machine: Machine, contents: Contents): Promise<Outcome> {
  machine.onStage?.("packing what it begins with");
  const archive = join(folder, "initramfs");
  writeArchive(archive, imageEntries(contents, machine.kernel.version));
  if (machine.disk > 0) await makeDisk(join(folder, "disk"), machine.disk);

  const stdout = channel(folder, "stdout");
  const stderr = channel(folder, "stderr");
  const result = channel(folder, "result");
  const deadline = AbortSignal.timeout((contents.limit + deadlineSlack) * 1000);
  const signal = AbortSignal.any([deadline, ...(machine.signal ? [machine.signal] : [])]);
  machine.onStage?.(`running, for at most ${contents.limit} s`);
  const qemu = tied("qemu-system-x86_64", arguments_(folder, machine)).spawn();
  const end = () => qemu.kill("SIGKILL");
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();

  try {
    const pieces: Uint8Array[] = [];
    const carried = Promise.all([
      carry(stdout, (bytes) => machine.onOutput("stdout", bytes)),
      carry(stderr, (bytes) => machine.onOutput("stderr", bytes)),
      carry(result, (bytes) => pieces.push(bytes)),
    ]);
    const said = new Response(qemu.stderr).text();
    const status = await qemu.status;
    // A machine that never came up does not connect: closing ends the wait.
    for (const listener of [stdout, stderr, result]) listener.close();
    await carried;
    const kernel = tryReadText(join(folder, "console")) ?? "";
    const answer = new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer());
    if (machine.signal?.aborted) return { failure: "it was interrupted", console: kernel };
    if (deadline.aborted || new TextDecoder().decode(answer.subarray(0, 4)) === "late") {
      return { failure: `it was not done after ${contents.limit} s`, console: kernel };
    }
    if (!status.success) {
      return { failure: `qemu: ${(await said).trimEnd().split("\n").at(-1)}`, console: kernel };
    }
    return { ...await resultOf(answer, machine.out), console: kernel };
  } finally {
    signal.removeEventListener("abort", end);
  }
}

function arguments_(folder: string, { kernel, memory, disk }: Machine): string[] {
  const port = (name: string) => ["-serial", `unix:${escaped(join(folder, name))}`];
  return [
    // KVM is left out on purpose: nested, it hangs; and the figures are meant to be the same everywhere.
    // Five-level page tables would be walked in software here, for addresses that do not exist.
    ...["-accel", "tcg,thread=multi", "-cpu", "max,la57=off"],
    ...["-smp", "2", "-m", String(memory)],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-kernel", kernel.path, "-initrd", join(folder, "initramfs")],
    ...["-append", "console=ttyS0 loglevel=1 psi=1 panic=-1 oops=panic"],
    ...["-serial", `file:${escaped(join(folder, "console"))}`],
    ...port("stdout"),
    ...port("stderr"),
    ...port("result"),
    ...(disk > 0
      ? ["-drive", `file=${escaped(join(folder, "disk"))},format=raw,if=virtio,cache=unsafe`]
      : []),
  ];
}

/** A comma ends a value for qemu, two stand for one. */
function escaped(path: string): string {
  return path.replaceAll(",", ",,");
}

/** The kernel ends the program with this process, however this process ends. */
function tied(program: string, args: string[]): Deno.Command {
  const io = { stdin: "null", stdout: "null", stderr: "piped" } as const;
  const setpriv = findProgram("setpriv");
  if (setpriv === undefined) return new Deno.Command(program, { args, ...io });
  return new Deno.Command(setpriv, { args: ["--pdeathsig", "KILL", program, ...args], ...io });
}

function channel(folder: string, name: string): Deno.UnixListener {
  return Deno.listen({ transport: "unix", path: join(folder, name) });
}

async function carry(listener: Deno.UnixListener, onBytes: (bytes: Uint8Array) => void) {
  try {
    using connection = await listener.accept();
    for await (const bytes of connection.readable.values({ preventCancel: true })) onBytes(bytes);
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted)) {
      throw error;
    }
  }
}

/** The guest sends `exit N`, a newline, and a tar archive of its /out. */
async function resultOf(bytes: Uint8Array, out: string | undefined) {
  const lineEnd = Math.max(bytes.indexOf(10), 0);
  const code = /^exit (\d+)$/.exec(new TextDecoder().decode(bytes.subarray(0, lineEnd)))?.[1];
  if (code === undefined) return { failure: "it ended by itself" };
  if (out !== undefined) await unpack(bytes.subarray(lineEnd + 1), out);
  return { code: Number(code) };
}

async function unpack(archive: Uint8Array, folder: string): Promise<void> {
  Deno.mkdirSync(folder, { recursive: true });
  const args = ["-x", "-f", "-", "-C", folder, "--no-same-owner"];
  const tar = new Deno.Command("tar", { args, stdin: "piped" }).spawn();
  const writer = tar.stdin.getWriter();
  await writer.write(archive);
  await writer.close();
  const { success } = await tar.status;
  if (!success) throw new Error(`cannot unpack what the guest left in /out into ${folder}`);
}

async function makeDisk(path: string, size: number): Promise<void> {
  Deno.writeFileSync(path, new Uint8Array());
  Deno.truncateSync(path, size);
  const mkfs = findProgram("mke2fs");
  if (mkfs === undefined) {
    throw new Error(
      "cannot make the guest's disk: mke2fs is not installed; apt-get install e2fsprogs",
    );
  }
  await succeed(mkfs, ["-q", "-t", "ext4", "-F", path]);
}
