/** An epoll set; an eventfd in it wakes a pending wait, so that it can always be ended. */

import { check, errno, libc, SystemCallError } from "./libc.ts";
import { borrowFd, type Fd, openEventfd, own, signalEventfd, takeEventfd } from "./fd.ts";

// epoll(7)
export const EPOLLIN = 0x001;
export const EPOLLPRI = 0x002;
export const EPOLLERR = 0x008;
/** Edge-triggered: one event for each change, instead of events for as long as the file is ready. */
export const EPOLLET = 0x80000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;

/** `struct epoll_event` is packed on x86-64 only (bits/epoll.h, __EPOLL_PACKED). */
const EVENT_SIZE = Deno.build.arch === "x86_64" ? 12 : 16;
const DATA_OFFSET = EVENT_SIZE - 8;
/** Further events are returned by the next call. */
const MAX_EVENTS_PER_CALL = 256;

interface Wakes {
  /** Each with the token from `add`. */
  readonly events: readonly { readonly token: number; readonly events: number }[];
  /** Number of `wake` calls since the last wait. */
  readonly woken: number;
}

/** Descriptor numbers of the set and of its eventfd, which are valid in all threads. */
export interface SharedEpoll {
  readonly epoll: number;
  readonly waker: number;
}

/** A set that another thread owns and closes; this thread waits for it. */
export interface JoinedEpoll {
  /** Level-triggered without {@link EPOLLET}. Throws `SystemCallError`; EPERM if the file does not support poll, like a regular file. */
  add(fd: Fd, events: number, token: number): void;
  /** Does nothing if `fd` is not in the set. */
  remove(fd: Fd): void;
  /**
   * Blocks this thread: a wake-up arrives in a third of the time of an asynchronous wait (docs/performance.md).
   *
   * @param timeout whole milliseconds; -1 for none.
   */
  block(timeout: number): Wakes;
}

export interface EpollSet extends JoinedEpoll, Disposable {
  /** Waits for at least one event, or for `wake`. Only one call at a time. */
  wait(): Promise<Wakes>;
  /** Makes a pending wait return. */
  wake(): void;
  /** For {@link joinEpoll} in another thread of this process. */
  readonly shared: SharedEpoll;
  /** No wait may be pending: call `wake` and await it first. */
  close(): void;
}

const WAKE_TOKEN = 0xffffffff;

/** Throws `SystemCallError`; EMFILE when descriptors run short, ENOSPC beyond fs.epoll.max_user_watches. */
export function openEpoll(): EpollSet {
  using opened = new DisposableStack();
  const epoll = opened.use(
    own(check(libc().epoll_create1(0o2000000), "epoll_create1", "set"), "epoll"),
  );
  const waker = opened.use(openEventfd());
  const { add, remove, block, buffer, take } = createView(epoll.number, waker);
  add(waker, EPOLLIN, WAKE_TOKEN);
  opened.move();
  const close = () => {
    epoll.close();
    waker.close();
  };
  return {
    add,
    remove,
    block,
    async wait() {
      // errno is lost after a nonblocking call. EINTR is the only likely failure, so retry without waiting.
      let n = await libc().epoll_wait(epoll.number, buffer, MAX_EVENTS_PER_CALL, -1);
      if (n < 0) n = libc().poll_epoll(epoll.number, buffer, MAX_EVENTS_PER_CALL, 0);
      if (n < 0) throw new SystemCallError("epoll_wait", errno(), "set");
      return take(n);
    },
    wake: () => signalEventfd(waker),
    shared: { epoll: epoll.number, waker: waker.number },
    close,
    [Symbol.dispose]: close,
  };
}

/** The thread that opened the set must keep it open. */
export const joinEpoll = ({ epoll, waker }: SharedEpoll): JoinedEpoll =>
  createView(epoll, borrowFd(waker, "eventfd"));

function createView(epoll: number, waker: Fd) {
  const change = new Uint8Array(EVENT_SIZE);
  const changeView = new DataView(change.buffer);
  const buffer = new Uint8Array(EVENT_SIZE * MAX_EVENTS_PER_CALL);
  const view = new DataView(buffer.buffer);
  const take = (n: number): Wakes => {
    const events: { token: number; events: number }[] = [];
    let woken = 0;
    for (let i = 0; i < n; i++) {
      const token = view.getUint32(i * EVENT_SIZE + DATA_OFFSET, true);
      if (token === WAKE_TOKEN) woken = Number(takeEventfd(waker));
      else events.push({ token, events: view.getUint32(i * EVENT_SIZE, true) });
    }
    return { events, woken };
  };
  return {
    buffer,
    take,
    add(fd: Fd, events: number, token: number) {
      changeView.setUint32(0, events, true);
      changeView.setUint32(DATA_OFFSET, token, true);
      check(libc().epoll_ctl(epoll, EPOLL_CTL_ADD, fd.number, change), "epoll_ctl", fd.path);
    },
    remove: (fd: Fd) => void libc().epoll_ctl(epoll, EPOLL_CTL_DEL, fd.number, change),
    // EINTR: no event was taken, so the next call returns it.
    block: (timeout: number) =>
      take(Math.max(0, libc().poll_epoll(epoll, buffer, MAX_EVENTS_PER_CALL, timeout))),
  };
}
