/** The service manager's notification socket: sd_notify(3), sd_watchdog_enabled(3). */

import { openUnixDatagram } from "../kernel/unix_datagram.ts";

export interface SdNotify {
  /** Reports that the service is up, and from then on its watchdog at twice the required rate, while `isAlive` holds. */
  ready(status: string, isAlive: () => boolean): void;
  /** One line for `systemctl status`. */
  status(line: string): void;
  stopping(): void;
}

/** `undefined` when the environment names no socket. */
export function openSdNotify(): SdNotify | undefined {
  const path = Deno.env.get("NOTIFY_SOCKET");
  const socket = path ? openUnixDatagram(path) : undefined;
  if (socket === undefined) return undefined;
  let timer: ReturnType<typeof setInterval> | undefined;
  return {
    ready(status, isAlive) {
      socket.send(`READY=1\nSTATUS=${oneLine(status)}`);
      const micros = Number(Deno.env.get("WATCHDOG_USEC"));
      const isForUs = Number(Deno.env.get("WATCHDOG_PID") ?? Deno.pid) === Deno.pid;
      if (!(micros > 0) || !isForUs) return;
      timer = setInterval(() => {
        if (isAlive()) socket.send("WATCHDOG=1");
      }, micros / 2000);
    },
    status(line) {
      socket.send(`STATUS=${oneLine(line)}`);
    },
    stopping() {
      clearInterval(timer);
      socket.send("STOPPING=1");
    },
  };
}

const oneLine = (text: string) => text.replaceAll("\n", " ");
