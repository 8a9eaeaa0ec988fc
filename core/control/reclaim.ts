/** Making the kernel give back page cache: cgroup-v2.rst, memory.reclaim (Linux 5.19); cgroup-v1/memory.rst, force_empty. */

import { type Fd, O_WRONLY, openIn, writeOnThread } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";

/** Nobody hears when one is done, and until then its file stays open and its text where it is. */
const underway: { readonly file: Fd; readonly text: Uint8Array<ArrayBuffer> }[] = [];
const MOST = 16;

/**
 * Asks for `bytes` less, and does not wait: the kernel may take its time, and comes back with EAGAIN when it found less than
 * that, which is no error. What it has done is seen by the usage.
 *
 * @param directory of the cgroup.
 * @returns why it could not be asked; `undefined` when it was.
 */
export function startReclaim(directory: Fd, bytes: number): string | undefined {
  const orders = [["memory.reclaim", String(Math.max(1, Math.ceil(bytes)))], [
    "memory.force_empty",
    "0",
  ]];
  let refused = "the kernel has neither memory.reclaim nor memory.force_empty";
  for (const [name, value] of orders) {
    try {
      const file = openIn(directory, name!, O_WRONLY);
      const text = new TextEncoder().encode(value);
      underway.push({ file, text });
      if (underway.length > MOST) underway.shift()!.file.close();
      writeOnThread(file, text);
      return undefined;
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      if (error.code !== "ENOENT") refused = `${error.call} ${name}: ${error.code}`;
    }
  }
  return refused;
}
