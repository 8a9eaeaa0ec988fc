/**
 * Fault injection for reads. It replaces the two interfaces that the program reads through, the synchronous functions of `Deno` and
 * the C library's. At the n-th access to a path it returns what no real kernel can be made to return: any errno, a short read,
 * or other bytes.
 */

import { osError, replaceCall as replace, setErrno, textOf } from "../helpers/replaced_calls.ts";

/**
 * `look`: stat, a link, a list of names. `watch`: by inotify. `create`: an object without a name, such as an epoll set. The others are after the
 * open; `add` is to an epoll set.
 */
export type Moment =
  | "look"
  | "watch"
  | "remove"
  | "open"
  | "create"
  | "seek"
  | "add"
  | "write"
  | "read";

export interface Access {
  readonly moment: Moment;
  readonly path: string;
}

export interface Fault {
  readonly name: string;
  readonly moment: Moment;
  /** The call fails with this errno. */
  readonly errno?: number;
  /** The maximum number of bytes of a read; the next read returns the rest. */
  readonly most?: number;
  /** Changes the bytes that are read. */
  readonly alter?: (bytes: Uint8Array) => Uint8Array;
}

export interface Wound {
  readonly path: string;
  readonly fault: Fault;
  /** The first access at the fault's moment that fails, from 1. */
  readonly from: number;
  /** The number of accesses that fail; by default all that follow. */
  readonly times?: number;
}

export interface Injection extends Disposable {
  /** In order, including those that failed. */
  readonly accesses: readonly Access[];
  /** The wounds that were applied. */
  readonly hits: ReadonlySet<Wound>;
}

interface Active {
  readonly wounds: readonly Wound[];
  readonly accesses: Access[];
  readonly counts: Map<string, number>;
  readonly hits: Set<Wound>;
}

let active: Active | undefined;

/** Active until it is disposed; without wounds it only records accesses. One at a time. */
export function inject(wounds: readonly Wound[] = []): Injection {
  if (active !== undefined) throw new Error("an injection is active already");
  const mine: Active = { wounds, accesses: [], counts: new Map(), hits: new Set() };
  active = mine;
  return {
    accesses: mine.accesses,
    hits: mine.hits,
    [Symbol.dispose]: () => void (active = undefined),
  };
}

/** The faults of this access. */
function faultsOf(moment: Moment, path: string | undefined): readonly Fault[] {
  if (active === undefined || path === undefined) return [];
  active.accesses.push({ moment, path });
  const key = `${moment} ${path}`;
  const count = (active.counts.get(key) ?? 0) + 1;
  active.counts.set(key, count);
  const hit = active.wounds.filter(({ path: at, fault, from, times = Infinity }) =>
    at === path && fault.moment === moment && count >= from && count < from + times
  );
  for (const wound of hit) active.hits.add(wound);
  return hit.map(({ fault }) => fault);
}

const errnoOf = (faults: readonly Fault[]) =>
  faults.find(({ errno }) => errno !== undefined)?.errno;
const mostOf = (faults: readonly Fault[]) => Math.min(...faults.map(({ most = Infinity }) => most));

function altered(bytes: Uint8Array, faults: readonly Fault[]): Uint8Array {
  return faults.reduce((now, { alter }) => alter ? alter(now) : now, bytes);
}

/** Paths by descriptor of this process. */
const paths = new Map<number, string>();

const SELF = /^\/proc\/self\/fd\/(\d+)$/;

function pathOf(path: string | URL): string {
  const text = String(path);
  const fd = SELF.exec(text)?.[1];
  return fd === undefined ? text : paths.get(Number(fd)) ?? text;
}

type Synchronous =
  | "statSync"
  | "lstatSync"
  | "realPathSync"
  | "readLinkSync"
  | "openSync"
  | "removeSync";

function replaceFunctions(moment: Moment, ...names: readonly Synchronous[]): void {
  for (const name of names) {
    const real = Deno[name] as (path: string | URL, ...rest: unknown[]) => unknown;
    const stand = (path: string | URL, ...rest: unknown[]) => {
      const errno = errnoOf(faultsOf(moment, pathOf(path)));
      if (errno !== undefined) throw osError(errno, name, String(path));
      return real(path, ...rest);
    };
    Object.assign(Deno, { [name]: stand });
  }
}

function replaceReads(): void {
  const { readFileSync, readDirSync } = Deno;
  const read = (path: string | URL): Uint8Array<ArrayBuffer> => {
    const at = pathOf(path);
    const refused = errnoOf(faultsOf("open", at));
    if (refused !== undefined) throw osError(refused, "open", at);
    const bytes = readFileSync(path);
    const faults = faultsOf("read", at);
    const errno = errnoOf(faults);
    if (errno !== undefined) throw osError(errno, "read", at);
    // Deno reads until the end, so a short read does not shorten the result.
    return new Uint8Array(altered(bytes, faults));
  };
  const decoder = new TextDecoder();
  Object.assign(Deno, {
    readFileSync: read,
    readTextFileSync: (path: string | URL) => decoder.decode(read(path)),
    *readDirSync(path: string | URL): Generator<Deno.DirEntry> {
      const at = pathOf(path);
      const refused = errnoOf(faultsOf("look", at));
      if (refused !== undefined) throw osError(refused, "readdir", at);
      const errno = errnoOf(faultsOf("read", at));
      for (const entry of readDirSync(path)) {
        yield entry;
        if (errno !== undefined) throw osError(errno, "readdir", at);
      }
    },
  });
}

const SYS_PIDFD_OPEN = 434n;

/** The path under which opening a pidfd is injected. */
export const pidfdOf = (pid: number | bigint) => `pidfd_open ${pid}`;

function replaceCalls(): void {
  const failure = (faults: readonly Fault[]): boolean => {
    const number = errnoOf(faults);
    if (number !== undefined) setErrno(number);
    return number !== undefined;
  };
  const opened = (fd: number, path: string) => {
    if (fd >= 0) paths.set(fd, path);
    return fd;
  };
  replace<[Uint8Array, number, number], number>("open", (real) => (name, ...rest) => {
    const path = textOf(name);
    return failure(faultsOf("open", path)) ? -1 : opened(real(name, ...rest), path);
  });
  replace<[number, Uint8Array, number, number], number>("openat", (real) => (fd, name, ...rest) => {
    const path = `${paths.get(fd)}/${textOf(name)}`;
    return failure(faultsOf("open", path)) ? -1 : opened(real(fd, name, ...rest), path);
  });
  replace<[number], number>("close", (real) => (fd) => {
    paths.delete(fd);
    return real(fd);
  });
  replace<[number, Uint8Array, number], number>(
    "inotify_add_watch",
    (real) => (fd, name, mask) =>
      failure(faultsOf("watch", textOf(name))) ? -1 : real(fd, name, mask),
  );
  for (
    const [call, path] of [["eventfd", "eventfd"], ["epoll_create1", "epoll"], [
      "inotify_init1",
      "inotify",
    ]] as const
  ) {
    replace<number[], number>(
      call,
      (real) => (...flags) => failure(faultsOf("create", path)) ? -1 : opened(real(...flags), path),
    );
  }
  replace<[number, bigint, number], bigint>(
    "lseek",
    (real) => (fd, ...rest) => failure(faultsOf("seek", paths.get(fd))) ? -1n : real(fd, ...rest),
  );
  const EPOLL_CTL_ADD = 1;
  replace<[number, number, number, Uint8Array], number>(
    "epoll_ctl",
    (real) => (epoll, call, fd, event) =>
      call === EPOLL_CTL_ADD && failure(faultsOf("add", paths.get(fd)))
        ? -1
        : real(epoll, call, fd, event),
  );
  replace<[number, Uint8Array, bigint], bigint>(
    "write",
    (real) => (fd, bytes, size) =>
      failure(faultsOf("write", paths.get(fd))) ? -1n : real(fd, bytes, size),
  );
  replace<[bigint, bigint, ...bigint[]], bigint>("syscall", (real) => (call, first, ...rest) => {
    const path = call === SYS_PIDFD_OPEN ? pidfdOf(first) : undefined;
    return failure(faultsOf("open", path)) ? -1n : real(call, first, ...rest);
  });

  type Buffer = ArrayBufferView<ArrayBuffer>;
  const filled = (path: string | undefined, buffer: Buffer, size: bigint, fill: Fill): bigint => {
    const faults = faultsOf("read", path);
    if (failure(faults)) return -1n;
    const most = mostOf(faults);
    const n = fill(Number(size) > most ? BigInt(most) : size);
    // Altering the empty read at the end would make the file endless.
    if (n <= 0n || !faults.some(({ alter }) => alter)) return n;
    const whole = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    const bytes = altered(whole.slice(0, Number(n)), faults).subarray(0, whole.length);
    whole.set(bytes);
    return BigInt(bytes.length);
  };
  type Fill = (size: bigint) => bigint;
  replace<[number, Buffer, bigint], bigint>(
    "read",
    (real) => (fd, buffer, size) =>
      filled(paths.get(fd), buffer, size, (size) => real(fd, buffer, size)),
  );
  replace<[number, Buffer, bigint, bigint], number>(
    "pread",
    (real) => (fd, buffer, size, at) =>
      Number(filled(paths.get(fd), buffer, size, (size) => BigInt(real(fd, buffer, size, at)))),
  );
  replace<[number, Uint8Array, Buffer, bigint], bigint>(
    "fgetxattr",
    (real) => (fd, name, buffer, size) =>
      filled(
        `${paths.get(fd)}#${textOf(name)}`,
        buffer,
        size,
        (size) => real(fd, name, buffer, size),
      ),
  );
}

replaceFunctions("look", "statSync", "lstatSync", "realPathSync", "readLinkSync");
replaceFunctions("open", "openSync");
replaceFunctions("remove", "removeSync");
replaceReads();
replaceCalls();
