/** Swap of a test, in the emulated machine only. */

import { isThere } from "./is_there.ts";
import { meminfo, whyNotFilled } from "./filled_machine.ts";

/** `undefined` where the command fails. */
function run(command: string, ...args: string[]): string | undefined {
  const { success, stdout } = new Deno.Command(command, { args, stderr: "null" }).outputSync();
  return success ? new TextDecoder().decode(stdout) : undefined;
}

function swapOn(path: string): Disposable {
  if (run("mkswap", path) === undefined || run("swapon", path) === undefined) {
    throw new Error(`cannot swap to ${path}`);
  }
  return { [Symbol.dispose]: () => void run("swapoff", path) };
}

/** Bytes. */
export const swapUsed = (): number => meminfo("SwapTotal") - meminfo("SwapFree");

const DISK = "/disk";
const ZRAM = "/guest/zram";

export const whyNoDiskSwap = whyNotFilled() ??
  (run("df", DISK)?.includes("/dev/vda") ? undefined : "it takes scripts/guest --disk 256");

/** A file on a disk. */
export function diskSwap(bytes: number): Disposable {
  const path = `${DISK}/swap`;
  const pieces = Math.ceil(bytes / 2 ** 20);
  if (run("dd", "if=/dev/zero", `of=${path}`, "bs=1048576", `count=${pieces}`) === undefined) {
    throw new Error(`cannot write ${path}`);
  }
  const swap = swapOn(path);
  return {
    [Symbol.dispose]() {
      swap[Symbol.dispose]();
      Deno.removeSync(path);
    },
  };
}

export const whyNoZram = whyNotFilled() ??
  (isThere(ZRAM) ? undefined : "the kernel has no module of zram");

export function zramSwap(bytes: number): Disposable {
  const modules = [...Deno.readDirSync(ZRAM)].map(({ name }) => name).sort();
  for (const name of modules) run("insmod", `${ZRAM}/${name}`);
  Deno.writeTextFileSync("/sys/block/zram0/disksize", String(bytes));
  return swapOn("/dev/zram0");
}
