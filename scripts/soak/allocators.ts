/**
 * The processes of a soak. Each is a shell that moves into the cgroup and execs the allocator: that starts quickly, also in an
 * emulated machine, and its pid is known beforehand.
 */

import { delay } from "../../core/timing.ts";
import type { Tree } from "./tree.ts";

type AllocatorKind = "fed" | "burst" | "cache" | "shmem" | "forks" | "idle";

export interface AllocatorProgram {
  readonly pid: number;
  readonly kind: AllocatorKind;
  /** The guard has an --ignore for it. */
  readonly isProtected: boolean;
  /** Milliseconds since the epoch. */
  readonly started: number;
  /** Its cgroups, the current one last. */
  readonly places: { readonly path: string; readonly since: number }[];
  /** Ended by the soak itself. */
  isOurs: boolean;
  ended?: { readonly at: number; readonly signal: string | null; readonly code: number };
  readonly gone: Promise<void>;
}

/** On the command line of protected processes, and nowhere else. */
export const PROTECTED = "777777777";
/** Address space of a burst, should nothing kill it (KiB). */
const BURST_KIB = 256 * 1024;
const FEED_MS = 10;

const ENTER = 'for each in "$1" $2; do echo 0 >"$each" || exit 99; done;';
const FILL_FILE = `${ENTER} exec dd if=/dev/zero of="$3" bs=64k count="$4" 2>/dev/null`;
const SCRIPTS: Readonly<Record<AllocatorKind, string>> = {
  fed: `${ENTER} exec tail -c "$3" >/dev/null`,
  burst: `${ENTER} ulimit -v "$3"; exec tail /dev/zero >/dev/null`,
  cache: FILL_FILE,
  shmem: FILL_FILE,
  forks:
    `${ENTER} n=0; while [ $n -lt "$4" ]; do /bin/sleep 0.01 & n=$((n+1)); [ $((n % 8)) -gt 0 ] || wait; done; wait`,
  idle: `${ENTER} exec sleep 100000`,
};

export interface AllocatorSpec {
  readonly kind: AllocatorKind;
  readonly path: string;
  readonly isProtected?: boolean;
  /** Of kind `fed`: bytes per second, and bytes in all. */
  readonly rate?: number;
  readonly most?: number;
  /** Of kinds `cache` and `shmem`: the file, and how many times 64 KiB; of `forks`: how many. */
  readonly file?: string;
  readonly count?: number;
}

export function startAllocator(tree: Tree, spec: AllocatorSpec): AllocatorProgram {
  const { kind, path, isProtected = false, file = "", count = 0 } = spec;
  const feedWord = isProtected ? PROTECTED : "1000000000";
  const word = kind === "fed" ? feedWord : kind === "burst" ? String(BURST_KIB) : file;
  const procs = `${tree.dirOf(path)}/cgroup.procs`;
  const child = new Deno.Command("sh", {
    args: ["-c", SCRIPTS[kind], "allocator", procs, tree.alsoEnter ?? "", word, String(count)],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const allocator: AllocatorProgram = {
    pid: child.pid,
    kind,
    isProtected,
    started: Date.now(),
    places: [{ path, since: Date.now() }],
    isOurs: false,
    gone: child.status.then(async ({ signal, code }) => {
      allocator.ended = { at: Date.now(), signal, code };
      await fed.catch(() => {});
    }),
  };
  const fed = feed(child, kind === "fed" ? spec : {}, () => allocator.ended !== undefined);
  return allocator;
}

/** The pipe stays open: at its end tail would exit and free its memory. */
async function feed(
  child: Deno.ChildProcess,
  { rate = 0, most = 0 }: Pick<AllocatorSpec, "rate" | "most">,
  hasEnded: () => boolean,
): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    const each = Math.max(4096, Math.round(rate * FEED_MS / 1000));
    for (let left = most; left > 0 && !hasEnded(); left -= each) {
      const due = delay(FEED_MS);
      // A process that waits at its limit under hold, or has exited, reads nothing.
      const written = writer.write(new Uint8Array(Math.min(each, left))).catch(() => left = 0);
      await Promise.race([written, child.status]);
      await due;
    }
    await child.status;
  } finally {
    await writer.abort().catch(() => {});
  }
}

export const placeOf = ({ places }: AllocatorProgram): string => places.at(-1)!.path;

export const lives = ({ ended }: AllocatorProgram): boolean => ended === undefined;

/** Kills it, unless that was done already. */
export function endAllocator(allocator: AllocatorProgram): void {
  if (!lives(allocator)) return;
  allocator.isOurs = true;
  signalTo(allocator.pid, "SIGKILL");
}

export function signalTo(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch {
    // Gone.
  }
}
