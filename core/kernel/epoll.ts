/** One epoll set for everything that the kernel can notify about; woken by an eventfd, so that it can always be ended. */

import { check, errno, libc, SystemCallError } from "./libc.ts";
import { borrowFd, type Fd, openEventfd, own, signalEventfd, takeEventfd } from "./fd.ts";

// epoll(7)
export const EPOLLIN = 0x001;
export const EPOLLPRI = 0x002;
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
/** Told once for each time that it happens, instead of for as long as nobody has read it. */
export const EPOLLET = 0x80000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;

/** `struct epoll_event` is packed on x86-64 only (bits/epoll.h, __EPOLL_PACKED). */
const EVENT_SIZE = Deno.build.arch === "x86_64" ? 12 : 16;
const DATA_OFFSET = EVENT_SIZE - 8;
/** More than this at once waits for the next call; nothing is lost. */
const BATCH = 256;

export interface Ready {
  /** As given to `add`. */
  readonly token: number;
  readonly events: number;
}

export interface Wakes {
  readonly events: readonly Ready[];
  /** How often `wake` was called since the last time; 0 when it was not. */
  readonly woken: number;
}

export interface EpollSet extends Disposable {
  /** Level-triggered without {@link EPOLLET}. Throws `SystemCallError`; EPERM when the file has no poll, as a plain file has not. */
  add(fd: Fd, events: number, token: number): void;
  /** Harmless when `fd` is not in the set. */
  remove(fd: Fd): void;
  /** Waits for at least one, or for `wake`. Only one call at a time. */
  wait(): Promise<Wakes>;
  /** Makes a pending wait return. */
  wake(): void;
  /** For {@link joinEpoll} in another thread of this process. */
  readonly shared: SharedEpoll;
  /** The set must not be waited for any more: `wake` and await it first. */
  close(): void;
}

/** The numbers of the set's descriptor and of the eventfd that wakes it: all threads have the same. */
export interface SharedEpoll {
  readonly epoll: number;
  readonly waker: number;
}

/** A set that belongs to another thread; there it is filled, woken and closed, here it is waited for. */
export interface JoinedEpoll {
  /**
   * This thread does nothing else meanwhile: a wake arrives in a third of the time (docs/performance.md).
   *
   * @param timeout milliseconds, whole; -1 waits for ever.
   */
  block(timeout: number): Wakes;
  add(fd: Fd, events: number, token: number): void;
  remove(fd: Fd): void;
}

const WAKE_TOKEN = 0xffffffff;

export function openEpoll(): EpollSet {
  const epoll = own(check(libc().epoll_create1(0o2000000), "epoll_create1", "set"), "epoll");
  const waker = openEventfd();
  const { buffer, take } = createTaker(waker);
  const { add, remove } = createChanger(epoll.number);
  add(waker, EPOLLIN, WAKE_TOKEN);
  const close = () => {
    epoll.close();
    waker.close();
  };
  return {
    add,
    remove,
    async wait() {
      // errno is lost after a nonblocking call; EINTR is the only failure left, so look again at once.
      let n = await libc().epoll_wait(epoll.number, buffer, BATCH, -1);
      if (n < 0) n = libc().poll_epoll(epoll.number, buffer, BATCH, 0);
      if (n < 0) throw new SystemCallError("epoll_wait", errno(), "set");
      return take(n);
    },
    wake: () => signalEventfd(waker),
    shared: { epoll: epoll.number, waker: waker.number },
    close,
    [Symbol.dispose]: close,
  };
}

/** Owns nothing: whoever opened the set closes it. */
export function joinEpoll({ epoll, waker }: SharedEpoll): JoinedEpoll {
  const { buffer, take } = createTaker(borrowFd(waker, "eventfd"));
  return {
    ...createChanger(epoll),
    block(timeout) {
      // EINTR: nothing has come, and who asks again loses nothing.
      return take(Math.max(0, libc().poll_epoll(epoll, buffer, BATCH, timeout)));
    },
  };
}

function createChanger(epoll: number): Pick<EpollSet, "add" | "remove"> {
  const change = new Uint8Array(EVENT_SIZE);
  const view = new DataView(change.buffer);
  return {
    add(fd, events, token) {
      view.setUint32(0, events, true);
      view.setUint32(DATA_OFFSET, token, true);
      check(libc().epoll_ctl(epoll, EPOLL_CTL_ADD, fd.number, change), "epoll_ctl", fd.path);
    },
    remove: (fd) => void libc().epoll_ctl(epoll, EPOLL_CTL_DEL, fd.number, change),
  };
}

function createTaker(waker: Fd) {
  const buffer = new Uint8Array(EVENT_SIZE * BATCH);
  const view = new DataView(buffer.buffer);
  return {
    buffer,
    take(n: number): Wakes {
      const events: Ready[] = [];
      let woken = 0;
      for (let i = 0; i < n; i++) {
        const token = view.getUint32(i * EVENT_SIZE + DATA_OFFSET, true);
        if (token === WAKE_TOKEN) woken = Number(takeEventfd(waker));
        else events.push({ token, events: view.getUint32(i * EVENT_SIZE, true) });
      }
      return { events, woken };
    },
  };
}
