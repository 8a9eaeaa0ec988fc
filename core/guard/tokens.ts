/** Who is meant by what the epoll set tells the sentry. */

import { EPOLLPRI, type JoinedEpoll } from "../kernel/epoll.ts";
import type { WakeSource } from "./messages.ts";
import type { CgroupState } from "./ward.ts";

/** Those of the main thread's eventfds are below this; above it lie those of memory.events, one for each ward. */
export const FIRST_MONITOR_TOKEN = 0x40000000;

interface Meant {
  readonly state: CgroupState;
  readonly by: WakeSource;
  /** It tells that the kernel reclaims, which concerns only who is full of page cache. */
  readonly isHint: boolean;
}

export interface Tokens {
  /** The eventfds in its terms, which are in the epoll set already. */
  bind(state: CgroupState): void;
  unbind(state: CgroupState): void;
  /** Its memory.events, where it has them. */
  follow(state: CgroupState): void;
  leave(state: CgroupState): void;
  /** `undefined` when it was unbound since. */
  meant(token: number): Meant | undefined;
  /** Until memory.events is read it wakes again; an eventfd is told of once for each time that it rings. */
  take(token: number): void;
}

export function createTokens(epoll: Pick<JoinedEpoll, "add" | "remove">): Tokens {
  const all = new Map<number, Meant>();
  const tokenOf = ({ id }: CgroupState) => FIRST_MONITOR_TOKEN + id;
  return {
    bind(state) {
      for (const { token, isHint } of state.settings.eventfds) {
        all.set(token, { state, by: "eventfd", isHint });
      }
    },
    unbind(state) {
      for (const { token } of state.settings.eventfds) all.delete(token);
    },
    follow(state) {
      if (state.events === undefined) return;
      all.set(tokenOf(state), { state, by: "pollpri", isHint: false });
      // To have read it is what arms it: kernel, fs/kernfs/file.c, kernfs_generic_poll.
      state.events.text();
      epoll.add(state.events.fd, EPOLLPRI, tokenOf(state));
    },
    leave(state) {
      if (state.events === undefined) return;
      all.delete(tokenOf(state));
      epoll.remove(state.events.fd);
    },
    meant: (token) => all.get(token),
    take(token) {
      const { state, by } = all.get(token) ?? {};
      if (by === "pollpri") state?.events?.text();
    },
  };
}
