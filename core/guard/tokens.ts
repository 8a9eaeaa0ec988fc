/** Who is meant by what the epoll set tells the sentry. */

import { EPOLLPRI, type JoinedEpoll } from "../kernel/epoll.ts";
import type { Wake } from "./messages.ts";
import type { Ward } from "./ward.ts";

/** Those of the main thread's eventfds are below this; above it lie those of memory.events, one for each ward. */
export const FIRST_SENTRY_TOKEN = 0x40000000;

interface Meant {
  readonly ward: Ward;
  readonly by: Wake;
  /** It tells that the kernel reclaims, which concerns only who is full of page cache. */
  readonly isHint: boolean;
}

export interface Tokens {
  /** The eventfds in its terms, which are in the epoll set already. */
  bind(ward: Ward): void;
  unbind(ward: Ward): void;
  /** Its memory.events, where it has them. */
  follow(ward: Ward): void;
  leave(ward: Ward): void;
  /** `undefined` when it was unbound since. */
  meant(token: number): Meant | undefined;
  /** Until memory.events is read it wakes again; an eventfd is told of once for each time that it rings. */
  take(token: number): void;
}

export function createTokens(epoll: Pick<JoinedEpoll, "add" | "remove">): Tokens {
  const all = new Map<number, Meant>();
  const tokenOf = ({ id }: Ward) => FIRST_SENTRY_TOKEN + id;
  return {
    bind(ward) {
      for (const { token, isHint } of ward.terms.eventfds) {
        all.set(token, { ward, by: "eventfd", isHint });
      }
    },
    unbind(ward) {
      for (const { token } of ward.terms.eventfds) all.delete(token);
    },
    follow(ward) {
      if (ward.events === undefined) return;
      all.set(tokenOf(ward), { ward, by: "pollpri", isHint: false });
      // To have read it is what arms it: kernel, fs/kernfs/file.c, kernfs_generic_poll.
      ward.events.text();
      epoll.add(ward.events.fd, EPOLLPRI, tokenOf(ward));
    },
    leave(ward) {
      if (ward.events === undefined) return;
      all.delete(tokenOf(ward));
      epoll.remove(ward.events.fd);
    },
    meant: (token) => all.get(token),
    take(token) {
      const { ward, by } = all.get(token) ?? {};
      if (by === "pollpri") ward?.events?.text();
    },
  };
}
