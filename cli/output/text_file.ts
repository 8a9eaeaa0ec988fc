/** Files that the user names: read as a whole, if that can be done at all. */

import { OomkitError, shortened } from "../../core/errors.ts";

/** Bytes. Configurations, secrets and certificates have some KiB. */
const MAX_BYTES = 1024 ** 2;

/**
 * Throws {@link OomkitError} for what cannot be read, or is not what one would want to read to its end.
 *
 * @param what for the message, up to the path: "the secret in".
 * @param refuse says why it is not to be read, beside what speaks against any file.
 */
export function readTextFile(
  path: string,
  what: string,
  refuse: (info: Deno.FileInfo) => string | undefined = () => undefined,
): string {
  try {
    // To open a FIFO waits until somebody writes it.
    const info = Deno.statSync(path);
    const obstacle = obstacleIn(info) ?? refuse(info);
    if (obstacle !== undefined) throw new Error(obstacle);
    return Deno.readTextFileSync(path);
  } catch (error) {
    const why = error instanceof Error ? error.message.split(" (os error")[0] : error;
    throw new OomkitError(
      `cannot read ${what} ${shortened(path)}: ${why}`,
      "name a regular file that can be read, of at most 1 MiB",
    );
  }
}

function obstacleIn(info: Deno.FileInfo): string | undefined {
  if (info.isDirectory) return "it is a directory";
  if (info.isFifo) return "it is a FIFO";
  if (!info.isFile) return "it is no regular file";
  return info.size > MAX_BYTES ? `it has ${info.size} bytes` : undefined;
}
