/** One gzip member; loaded only for who writes what is to be compressed. */

import { gzipSync } from "node:zlib";

export function deflated(text: string): Uint8Array {
  return gzipSync(text);
}
