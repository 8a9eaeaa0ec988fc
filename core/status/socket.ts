/**
 * The socket on which a guard answers `oomkit status`: to each connection it sends one JSON document and closes. It reads nothing. The
 * mode of the socket and its directory decide which users may connect: unix(7). Without connections it costs nothing at rest.
 */

import { ownPath, prepareDirectory, removeFile, removeRecord } from "../control/state_directory.ts";
import { toJson } from "../events/json.ts";
import { delay } from "../timing.ts";

/**
 * More wait in the kernel's queue. An answer that does not fit into the buffer of the socket waits for its reader, and Deno (2.7.11)
 * cannot abort a write: each client that does not read holds a descriptor and an answer for as long as it lives.
 */
const MAX_CONNECTIONS = 8;
/** accept(2) fails immediately while descriptors are short; the pause avoids a busy loop. */
const MS_AFTER_FAILED_ACCEPT = 200;
/** An answer serves all clients that connect within so many times the time that it took, and this long at most. */
const REUSE_FACTOR = 10;
const MAX_REUSE_MS = 1000;

export class StatusSocket {
  readonly #path: string;
  readonly #listener: Deno.UnixListener;
  #answer: Promise<Uint8Array> | undefined;
  #expiry: ReturnType<typeof setTimeout> | undefined;
  #connections = 0;
  /** Resolves when the next connection ends. */
  #ended = Promise.withResolvers<void>();
  #isClosing = false;

  /** Listens from now on. Throws where the socket cannot be created, or other users could replace it. */
  constructor(directory: string, private readonly document: () => Promise<unknown>) {
    prepareDirectory(directory);
    this.#path = `${ownPath(directory)}.socket`;
    // A link placed there must not be followed.
    removeFile(this.#path);
    this.#listener = listenPrivately(this.#path);
    void this.#accept();
  }

  /** Does not wait for the answers in progress. */
  close(): void {
    this.#isClosing = true;
    clearTimeout(this.#expiry);
    this.#listener.close();
    removeRecord(this.#path);
  }

  async #accept(): Promise<void> {
    while (!this.#isClosing) {
      try {
        while (this.#connections >= MAX_CONNECTIONS) await this.#ended.promise;
        const conn = await this.#listener.accept();
        this.#connections += 1;
        void this.#serve(conn).finally(() => {
          this.#connections -= 1;
          this.#ended.resolve();
          this.#ended = Promise.withResolvers();
        });
      } catch {
        if (!this.#isClosing) await delay(MS_AFTER_FAILED_ACCEPT);
      }
    }
  }

  async #serve(conn: Deno.UnixConn): Promise<void> {
    try {
      const bytes = await (this.#answer ??= this.#makeAnswer());
      for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
    } catch {
      // The client went away, or there is no answer: the client sees that the connection ends.
    }
    conn.close();
  }

  async #makeAnswer(): Promise<Uint8Array> {
    const startedAt = performance.now();
    try {
      return new TextEncoder().encode(`${toJson(await this.document())}\n`);
    } finally {
      const reuseMs = Math.min(MAX_REUSE_MS, REUSE_FACTOR * (performance.now() - startedAt));
      this.#expiry = setTimeout(() => this.#answer = undefined, reuseMs);
    }
  }
}

/** bind(2) creates the socket with the mode that the umask leaves: no moment in which other users may connect. */
function listenPrivately(path: string): Deno.UnixListener {
  const before = Deno.umask(0o177);
  try {
    return Deno.listen({ transport: "unix", path });
  } finally {
    Deno.umask(before);
  }
}
