/** Extended attributes: xattr(7). */

import { cString, libc } from "./libc.ts";
import type { Fd } from "./fd.ts";

const buffer = new Uint8Array(256);
const decoder = new TextDecoder();

/** `undefined` if there is no such attribute or the file system does not support any. */
export function readAttribute(file: Fd, name: string): string | undefined {
  const n = Number(libc().fgetxattr(file.number, cString(name), buffer, BigInt(buffer.length)));
  return n < 0 ? undefined : decoder.decode(buffer.subarray(0, n));
}
