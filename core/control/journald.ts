/** The socket of the journal for entries with fields: systemd-journald.service(8). */

import { unlessFailed } from "../kernel/libc.ts";
import { type DatagramSocket, openUnixDatagram } from "../kernel/unix_datagram.ts";

const SOCKET = "/run/systemd/journal/socket";

/**
 * Does not wait for the journal: {@link DatagramSocket.send} is false while it has no room.
 *
 * @returns `undefined` where no socket can be made, such as without a free descriptor.
 */
export const openJournald = (path: string = SOCKET): DatagramSocket | undefined =>
  unlessFailed(() => openUnixDatagram(path));
