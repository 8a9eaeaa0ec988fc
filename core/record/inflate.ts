/** gzip, as far as it goes: loaded only for who reads what is compressed. */

import { constants, createGunzip } from "node:zlib";
import { OomkitError } from "../errors.ts";

/**
 * What is in the members of a gzip file, one after the other; where it is cut off, what comes before that.
 *
 * @param name of the file, for messages. Throws {@link OomkitError} for what is damaged otherwise.
 */
export async function* inflated(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Uint8Array> {
  // A file that is cut off ends where it is cut off.
  const gunzip = createGunzip({ finishFlush: constants.Z_SYNC_FLUSH });
  const feeding = feed(chunks, gunzip);
  // It is awaited below, unless the stream fails first.
  feeding.catch(() => {});
  try {
    for await (const bytes of gunzip) yield bytes as Uint8Array;
    await feeding;
  } catch (error) {
    if (error instanceof OomkitError) throw error;
    // zlib's Z_BUF_ERROR: it wants more than there is.
    if ((error as { code?: unknown }).code === "Z_BUF_ERROR") return;
    const why = error instanceof Error ? error.message : error;
    throw new OomkitError(
      `cannot read ${name}: what is compressed in it is damaged (${why})`,
      "give a file that was written by --record",
    );
  } finally {
    gunzip.destroy();
    await feeding.catch(() => {});
  }
}

async function feed(
  chunks: AsyncIterable<Uint8Array>,
  gunzip: ReturnType<typeof createGunzip>,
): Promise<void> {
  try {
    for await (const chunk of chunks) {
      if (gunzip.destroyed) return;
      if (!gunzip.write(chunk)) await drained(gunzip);
    }
    gunzip.end();
  } catch (error) {
    gunzip.destroy(error as Error);
    throw error;
  }
}

function drained(gunzip: ReturnType<typeof createGunzip>): Promise<void> {
  return new Promise((resolve) => {
    // A large file is waited for many a time: neither is to pile up.
    const go = () => {
      gunzip.off("drain", go).off("close", go);
      resolve();
    };
    gunzip.on("drain", go).on("close", go);
  });
}
