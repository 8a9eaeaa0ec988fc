/** Datagrams to a Unix socket: unix(7). */

import { check, libc } from "./libc.ts";
import { type Fd, own } from "./fd.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC_NONBLOCK = 2 | 0o2000000 | 0o4000;
const MSG_NOSIGNAL = 0x4000;
const MAX_PATH_BYTES = 107;

export interface DatagramSocket extends Disposable {
  /** False if it was not delivered, for example without a listener, or to one that has no room now. */
  send(data: string | Uint8Array<ArrayBuffer>): boolean;
}

/**
 * @param path `@name` is an abstract socket.
 * @returns `undefined` if no socket can have that name.
 */
export function openUnixDatagram(path: string): DatagramSocket | undefined {
  const name = new TextEncoder().encode(path.replace(/^@/, "\0"));
  if (name.length === 0 || name.length > MAX_PATH_BYTES) return undefined;
  const socket: Fd = own(
    check(libc().socket(AF_UNIX, SOCK_DGRAM_CLOEXEC_NONBLOCK, 0), "socket", path),
    path,
  );
  // struct sockaddr_un: u16 family, char path[108]
  const address = new Uint8Array(2 + name.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  return {
    send(data) {
      const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
      const length = BigInt(bytes.length);
      return libc().sendto(socket.number, bytes, length, MSG_NOSIGNAL, address, address.length) ===
        length;
    },
    [Symbol.dispose]: socket.close,
  };
}
