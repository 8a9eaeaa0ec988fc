/**
 * The workloads of `deno task harmless`. Each is a shell script that runs outside of its cgroup and lets other processes enter it
 * ({@link PRELUDE}); it exits with 0 when all of them did what they had to do. Sizes are MiB.
 */

export interface Workload {
  readonly name: string;
  /** One line. */
  readonly what: string;
  /** The limit of its cgroup. */
  readonly limit: number;
  /** Absent: none of its memory is swapped. `free`: only the machine limits it. */
  readonly swap?: "free" | number;
  /** The cgroup version that has what it needs; absent: both. */
  readonly only?: 1 | 2;
  /** The size of a file that is not in page cache when the workload starts: `$COLD`. */
  readonly cold?: number;
  /** More files like that: `$COLD.1`, `$COLD.2`, … */
  readonly moreCold?: number;
  /** Control files of the cgroup, written before anything enters it. */
  readonly files?: Readonly<Record<string, string>>;
  /** Child cgroups, with their control files. On v2 processes are in these only. */
  readonly children?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** What is meant to happen without a guard and with one; default: it lives with both. */
  readonly control?: Control;
  readonly script: string;
}

/**
 * - `kernel kills`: the kernel kills without a guard; with one, either of them does.
 * - `margin`: lives without a guard, with usage that stays above the imminent level; the guard kills, because it must assume that the
 *   limit is next.
 */
export type Control = "kernel kills" | "margin";

/**
 * `within CHILD COMMAND…` runs a command in the cgroup (`.`) or in a child of it. `memory CHILD STEP…` runs the memory program
 * (scripts/harmless/steps.ts). `used N` waits until the usage of the cgroup is N MiB. `all PID…` waits for processes and fails with
 * the first that failed.
 */
export const PRELUDE = `
set -eu
MIB=1048576
within() { ( echo 0 >"$CG/$1/cgroup.procs"; shift; exec "$@" ) }
memory() { child=$1; shift; "$DENO" run -A --quiet --no-check --no-config --no-lock "$MEMORY" "$CG/$child/cgroup.procs" "$CG/$USAGE" "$@"; }
used() {
  tries=0
  while read -r usage <"$CG/$USAGE" && [ "$usage" -lt $(($1 * MIB)) ]; do
    tries=$((tries + 1)); [ $tries -lt 500 ] || exit 3
    sleep 0.02
  done
}
all() { for pid; do wait "$pid"; done; }
zeros() { dd if=/dev/zero bs=64k count=$(($1 * 16)) "of=$2" 2>/dev/null; }
read_in() { within "$1" cat "$2" >/dev/null; }
write_in() { within "$1" dd if=/dev/zero bs=64k count=$(($2 * 16)) "of=$3" 2>/dev/null; }
`;

const MIN = (mib: number) => ({ "memory.min": `${mib}M` });
const LOW = (mib: number) => ({ "memory.low": `${mib}M` });

/** Runs in a shell of its own in the cgroup. */
const shell = (code: string) => `within . sh -c '${code}' shell "$DIR"`;

const PAGE_CACHE: readonly Workload[] = [
  {
    name: "cache-read",
    what: "reads a file of four times the limit",
    limit: 16,
    cold: 64,
    script: `read_in . "$COLD"`,
  },
  {
    name: "cache-reread",
    what: "reads a file of half the limit ten times, then one of four times the limit",
    limit: 16,
    cold: 64,
    script: `
zeros 8 "$DIR/hot"
${shell('for n in 1 2 3 4 5 6 7 8 9 10; do cat "$1/hot" >/dev/null; done')}
read_in . "$COLD"`,
  },
  {
    name: "cache-beside-anon",
    what: "holds 60 % of the limit and reads a file of the limit",
    limit: 64,
    cold: 64,
    script: `
memory . anon:38 "until:$DIR/go" & holder=$!
used 38; read_in . "$COLD"; : >"$DIR/go"; all $holder`,
  },
  {
    name: "cache-readers",
    what: "four processes read one file each at the same time",
    limit: 64,
    cold: 32,
    moreCold: 3,
    script: `
read_in . "$COLD.1" & a=$!; read_in . "$COLD.2" & b=$!; read_in . "$COLD.3" & c=$!
read_in . "$COLD"; all $a $b $c`,
  },
  {
    name: "cache-mapped",
    what: "reads a mapped file of three times the limit, twice",
    limit: 16,
    cold: 48,
    script: `memory . "read-file:48:$COLD" "read-file:48:$COLD"`,
  },
  {
    name: "cache-then-anon",
    what: "fills the limit with clean page cache, then allocates 60 % of it at full speed",
    limit: 64,
    cold: 96,
    script: `read_in . "$COLD"; memory . anon:38 hold:300`,
  },
  {
    name: "cache-and-anon-saw",
    what: "allocates and frees half of the limit ten times while a file is read",
    limit: 32,
    cold: 96,
    script: `
read_in . "$COLD" & reader=$!
memory . ${"anon:16 hold:30 free ".repeat(10)}; all $reader`,
  },
  {
    name: "small-files",
    what: "creates 1000 small files, reads and removes them",
    limit: 16,
    script: shell(
      'cd "$1"; n=0; while [ $n -lt 1000 ]; do echo $n >f$n; n=$((n+1)); done; cat f* >/dev/null; rm f*',
    ),
  },
];

const WRITERS: readonly Workload[] = [
  {
    name: "dirty",
    what: "writes a file of six times the limit",
    limit: 16,
    script: `write_in . 96 "$DIR/a"`,
  },
  {
    name: "dirty-beside-anon",
    what: "holds 60 % of the limit and writes a file of three times the limit",
    limit: 32,
    script: `
memory . anon:19 "until:$DIR/go" & holder=$!
used 19; write_in . 96 "$DIR/a"; : >"$DIR/go"; all $holder`,
  },
  {
    name: "dirty-then-anon",
    what: "fills the limit with dirty page cache, then allocates half of it at full speed",
    limit: 64,
    script: `write_in . 96 "$DIR/a"; memory . anon:32 hold:300`,
  },
  {
    name: "dirty-writers",
    what: "four processes write one file each at the same time",
    limit: 32,
    script: `
write_in . 32 "$DIR/a" & a=$!; write_in . 32 "$DIR/b" & b=$!; write_in . 32 "$DIR/c" & c=$!
write_in . 32 "$DIR/d"; all $a $b $c`,
  },
  {
    name: "dirty-synced",
    what: "writes and syncs a file of half the limit eight times",
    limit: 16,
    script: shell(
      'for n in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of="$1/a" bs=64k count=128 conv=fsync 2>/dev/null; done',
    ),
  },
  {
    name: "dirty-mapped",
    what: "writes to a mapped file of twice the limit",
    limit: 32,
    script: `memory . "write-file:64:$DIR/a"`,
  },
  {
    name: "copy",
    what: "copies a file of three times the limit",
    limit: 16,
    cold: 48,
    script: `within . cp "$COLD" "$DIR/a"`,
  },
  {
    name: "log-writer",
    what: "appends 15 MiB to a log, line by line",
    limit: 8,
    script: shell(
      'l=$(printf "%0512d" 1); n=0; while [ $n -lt 30000 ]; do echo "$l"; n=$((n+1)); done >>"$1/log"',
    ),
  },
  {
    name: "compress",
    what: "compresses a file of three times the limit",
    limit: 16,
    cold: 48,
    script: `within . gzip -c "$COLD" >"$DIR/a"`,
  },
];

const KERNEL_MEMORY: readonly Workload[] = [
  {
    // On v1 the kernel itself kills in some runs.
    name: "dentries",
    what: "looks for 60000 files that do not exist",
    limit: 16,
    only: 2,
    script: shell(
      'p=$(printf "%0200d" 1); n=0; while [ $n -lt 60000 ]; do [ -e "$1/$p$n" ] || n=$((n+1)); done',
    ),
  },
  {
    name: "dentries-slow",
    what: "looks for 30000 files that do not exist, with pauses",
    limit: 16,
    script: shell(
      'p=$(printf "%0200d" 1); n=0; while [ $n -lt 30000 ]; do [ -e "$1/$p$n" ] || n=$((n+1)); [ $((n % 1000)) -gt 0 ] || sleep 0.05; done',
    ),
  },
  {
    name: "inodes",
    what: "creates and removes 6000 empty files, a thousand at a time",
    limit: 16,
    script: shell(
      'cd "$1"; for r in 1 2 3 4 5 6; do n=0; while [ $n -lt 1000 ]; do : >$r$n; n=$((n+1)); done; rm $r*; done',
    ),
  },
  {
    name: "pipes",
    what: "holds 200 pipes with 64 KiB each: 40 % of the limit",
    limit: 32,
    script: `memory . pipes:200 hold:500`,
  },
  {
    name: "pipes-and-cache",
    what: "holds 200 full pipes and reads a file of twice the limit",
    limit: 32,
    cold: 64,
    script: `
memory . pipes:200 "until:$DIR/go" & holder=$!
used 12; read_in . "$COLD"; : >"$DIR/go"; all $holder`,
  },
  {
    name: "page-tables",
    what: "touches one page in 2 MiB of 2 GiB, as a sparse heap does",
    limit: 16,
    script: `memory . sparse:2048 hold:300`,
  },
];

const TMPFS: readonly Workload[] = [
  {
    name: "tmpfs",
    what: "holds a tmpfs file of 75 % of the limit",
    limit: 32,
    script: `write_in . 24 "$SHM/a"; used 24; sleep 0.3; rm "$SHM/a"`,
  },
  {
    name: "tmpfs-saw",
    what: "writes and removes a tmpfs file of 60 % of the limit eight times",
    limit: 32,
    script: `for n in 1 2 3 4 5 6 7 8; do write_in . 19 "$SHM/a"; rm "$SHM/a"; done`,
  },
  {
    name: "tmpfs-and-cache",
    what: "holds a tmpfs file of 60 % of the limit and reads a file of the limit",
    limit: 64,
    cold: 64,
    script: `write_in . 38 "$SHM/a"; read_in . "$COLD"; rm "$SHM/a"`,
  },
  {
    name: "shared",
    what: "holds shared anonymous memory of 75 % of the limit and writes a file",
    limit: 32,
    script: `
memory . shared:24 "until:$DIR/go" & holder=$!
used 24; write_in . 48 "$DIR/a"; : >"$DIR/go"; all $holder`,
  },
];

const ANONYMOUS: readonly Workload[] = [
  {
    name: "lazy-free",
    what: "frees all that it touches with MADV_FREE: three times the limit",
    limit: 32,
    script: `memory . lazy:96 hold:300`,
  },
  {
    name: "lazy-free-and-anon",
    what: "fills the limit with MADV_FREE pages, then allocates half of it at full speed",
    limit: 64,
    script: `memory . lazy:80 anon:32 hold:300`,
  },
  {
    name: "lazy-free-reuse",
    what: "touches MADV_FREE pages of half the limit again, five times, and reads a file",
    limit: 32,
    cold: 48,
    script: `
read_in . "$COLD" & reader=$!
memory . ${"lazy:16 again free ".repeat(5)}; all $reader`,
  },
  {
    name: "saw",
    what: "allocates 80 % of the limit at full speed and discards it, twenty times",
    limit: 64,
    script: `memory . reserve:51 ${"again hold:10 dontneed ".repeat(20)}`,
  },
  {
    name: "critical-saw",
    what: "swings between 70 % and 91 % of the limit",
    limit: 128,
    script: `memory . anon:90 ${"anon:26@400 hold:20 free ".repeat(10)}`,
  },
  {
    name: "steady",
    what: "fills 91 % of the limit at full speed and stays there",
    limit: 128,
    script: `memory . anon:116 hold:1000`,
  },
  {
    name: "locked",
    what: "locks 60 % of the limit and reads a file of the limit",
    limit: 64,
    cold: 64,
    script: `
memory . locked:38 "until:$DIR/go" & holder=$!
used 38; read_in . "$COLD"; : >"$DIR/go"; all $holder`,
  },
  {
    name: "locked-file",
    what: "locks a mapped file of half the limit and writes another one",
    limit: 32,
    cold: 16,
    script: `
memory . "lock-file:16:$COLD" "until:$DIR/go" & holder=$!
used 16; write_in . 64 "$DIR/a"; : >"$DIR/go"; all $holder`,
  },
  {
    name: "huge-pages",
    what: "touches 2 MiB pages up to half of the limit, then reads a file of the limit",
    limit: 64,
    cold: 64,
    script: `
memory . huge:32 "until:$DIR/go" & holder=$!
used 32; read_in . "$COLD"; : >"$DIR/go"; all $holder`,
  },
  {
    name: "jvm",
    what: "reserves 4 GiB; grows a heap to 75 % of the limit, collects it, ten times",
    limit: 64,
    script: `memory . reserve:4096 ${
      "part:12 hold:10 part:24 hold:10 part:48 hold:10 dontneed ".repeat(10)
    }`,
  },
  {
    name: "jvm-pre-touch",
    what: "touches a heap of 75 % of the limit at once, then reads its archives",
    limit: 64,
    cold: 64,
    script: `
memory . reserve:4096 part:48 "read-file:64:$COLD" hold:200`,
  },
  {
    name: "tiny",
    what: "a shell and a process of 1 MiB in a cgroup of 4 MiB",
    limit: 4,
    script: `
within . sh -c 'head -c 1000000 /dev/zero | tail -c 1000000 >/dev/null; sleep 0.3'`,
  },
];

const PROCESSES: readonly Workload[] = [
  {
    name: "many-processes",
    what: "sixty processes that sleep at the same time",
    limit: 48,
    script: shell(
      'set --; n=0; while [ $n -lt 60 ]; do sleep 1 & set -- "$@" $!; n=$((n+1)); done; for p; do wait $p; done',
    ),
  },
  {
    name: "fork-storm",
    what: "starts 400 processes that exit at once, eight at a time",
    limit: 16,
    script: shell(
      'n=0; while [ $n -lt 50 ]; do set --; for m in 1 2 3 4 5 6 7 8; do /bin/true & set -- "$@" $!; done; for p; do wait $p; done; n=$((n+1)); done',
    ),
  },
  {
    name: "fork-server",
    what: "a server of 4 MiB forks six workers that each copy that",
    limit: 64,
    script: shell(
      'x=$(head -c 4000000 /dev/zero | tr "\\000" x); set --; for n in 1 2 3 4 5 6; do ( y=$x$n; sleep 0.5; [ ${#y} -eq 4000001 ] ) & set -- "$@" $!; done; for p; do wait $p; done',
    ),
  },
  {
    name: "workers",
    what: "workers of a quarter of the limit, two at a time, start and exit ten times",
    limit: 64,
    script: shell(
      "for n in 1 2 3 4 5 6 7 8 9 10; do head -c 20000000 /dev/zero | tail -c 16000000 >/dev/null & a=$!; head -c 20000000 /dev/zero | tail -c 16000000 >/dev/null; wait $a; done",
    ),
  },
  {
    name: "pipeline",
    what: "moves 64 MiB through a pipeline of four processes",
    limit: 8,
    script: shell(
      'head -c 67108864 /dev/zero | tr "\\000" x | cat | wc -c >/dev/null',
    ),
  },
  {
    name: "nested-limit",
    what: "a child cgroup with a third of the limit reads a file; its parent holds half",
    limit: 48,
    cold: 64,
    children: { a: {}, b: {} },
    script: `
echo $((16 * MIB)) >"$CG/b/$LIMIT"
memory a anon:24 "until:$DIR/go" & holder=$!
used 24; read_in b "$COLD"; : >"$DIR/go"; all $holder`,
  },
  {
    name: "sibling-cache",
    what: "a sibling has filled the common limit with page cache; another one allocates 60 %",
    limit: 64,
    cold: 96,
    children: { a: {}, b: {} },
    script: `read_in a "$COLD"; memory b anon:38 hold:300`,
  },
  {
    name: "limit-lowered",
    what: "half of the limit is taken away while page cache fills it",
    limit: 64,
    cold: 96,
    script: `
memory . anon:20 "until:$DIR/go" & holder=$!
used 20; read_in . "$COLD"; echo $((32 * MIB)) >"$CG/$LIMIT"; sleep 0.5; : >"$DIR/go"; all $holder`,
  },
];

const PROTECTION: readonly Workload[] = [
  {
    name: "min-own",
    what: "memory.min of the cgroup itself is its limit; reads a file of twice that",
    limit: 32,
    only: 2,
    cold: 64,
    files: MIN(32),
    script: `read_in . "$COLD"`,
  },
  {
    name: "min-sibling",
    what: "memory.min keeps the page cache of a sibling; another one reads and allocates",
    limit: 64,
    only: 2,
    cold: 24,
    moreCold: 1,
    children: { a: MIN(24), b: {} },
    script: `
read_in a "$COLD"
memory b anon:28 "until:$DIR/go" & holder=$!
used 50; read_in b "$COLD.1"; : >"$DIR/go"; all $holder`,
  },
  {
    name: "min-exceeded",
    what: "a child reads far more than its memory.min of half the limit",
    limit: 48,
    only: 2,
    cold: 96,
    children: { a: MIN(24), b: {} },
    script: `read_in a "$COLD"; memory b anon:16 hold:300`,
  },
  {
    name: "low-sibling",
    what: "memory.low protects page cache that fills the limit; a sibling allocates half of it",
    limit: 64,
    only: 2,
    cold: 56,
    children: { a: LOW(56), b: {} },
    script: `read_in a "$COLD"; memory b anon:32 hold:300`,
  },
  {
    name: "low-and-anon",
    what: "as low-sibling, growing at 100 MiB/s to 70 % of the limit",
    limit: 64,
    only: 2,
    cold: 56,
    children: { a: LOW(56), b: {} },
    script: `read_in a "$COLD"; memory b anon:44@100 hold:300`,
  },
  {
    name: "own-high",
    what: "has a memory.high of half its limit and reads and writes files",
    limit: 64,
    only: 2,
    cold: 64,
    files: { "memory.high": "32M" },
    script: `
memory . anon:16 "until:$DIR/go" & holder=$!
used 16; read_in . "$COLD"; write_in . 48 "$DIR/a"; : >"$DIR/go"; all $holder`,
  },
  {
    name: "soft-limit",
    what: "holds 60 % of the limit with a soft limit of a quarter, and reads a file",
    limit: 64,
    only: 1,
    cold: 64,
    files: { "memory.soft_limit_in_bytes": "16M" },
    script: `
memory . anon:38 "until:$DIR/go" & holder=$!
used 38; read_in . "$COLD"; : >"$DIR/go"; all $holder`,
  },
];

const SWAP: readonly Workload[] = [
  {
    name: "swap",
    what: "allocates twice the limit with free swap",
    limit: 32,
    swap: "free",
    script: `memory . anon:64 hold:300`,
  },
  {
    name: "swap-limit",
    what: "allocates twice the limit; the swap limit is 1.5 times the limit",
    limit: 32,
    swap: 48,
    script: `memory . anon:64 hold:300`,
  },
  {
    name: "swap-thrash",
    what: "touches memory of one and a half times the limit four times over",
    limit: 32,
    swap: "free",
    script: `memory . anon:48 again again again`,
  },
  {
    name: "swap-slow",
    what: "grows at 32 MiB/s to twice the limit",
    limit: 32,
    swap: "free",
    script: `memory . anon:64@32 hold:300`,
  },
  {
    name: "swap-tmpfs",
    what: "writes a tmpfs file of one and a half times the limit",
    limit: 32,
    swap: "free",
    script: `write_in . 48 "$SHM/a"; rm "$SHM/a"`,
  },
  {
    name: "swap-and-cache",
    what: "holds one and a quarter of the limit and reads a file of twice the limit",
    limit: 32,
    swap: "free",
    cold: 64,
    script: `
memory . anon:40 "until:$DIR/go" & holder=$!
used 24; read_in . "$COLD"; : >"$DIR/go"; all $holder`,
  },
  {
    name: "swap-locked",
    what: "locks half of the limit and allocates one and a half times the limit",
    limit: 32,
    swap: "free",
    script: `memory . locked:16 anon:48 hold:300`,
  },
  {
    name: "swap-high",
    what: "memory.high is half of the limit; allocates the limit",
    limit: 64,
    only: 2,
    swap: "free",
    files: { "memory.high": "32M" },
    script: `memory . anon:64 hold:300`,
  },
];

const CONTROLS: readonly Workload[] = [
  {
    name: "over",
    what: "allocates twice the limit at full speed",
    limit: 32,
    control: "kernel kills",
    script: `memory . anon:64`,
  },
  {
    name: "over-slowly",
    what: "grows at 64 MiB/s to twice the limit, beside page cache",
    limit: 64,
    cold: 96,
    control: "kernel kills",
    script: `read_in . "$COLD"; memory . anon:128@64`,
  },
  {
    name: "over-cached",
    what: "fills the limit with page cache, then allocates twice the limit at full speed",
    limit: 64,
    cold: 96,
    control: "kernel kills",
    script: `read_in . "$COLD"; memory . anon:128`,
  },
  {
    name: "over-locked",
    what: "locks twice the limit",
    limit: 32,
    control: "kernel kills",
    script: `memory . locked:64`,
  },
  {
    name: "over-min",
    what: "memory.min keeps page cache of 70 % of the limit; a sibling allocates half of it",
    limit: 64,
    only: 2,
    cold: 45,
    children: { a: MIN(48), b: {} },
    control: "kernel kills",
    script: `read_in a "$COLD"; memory b anon:32`,
  },
  {
    name: "over-swap",
    what: "allocates three times the limit; limit and swap limit are twice the limit together",
    limit: 32,
    swap: 32,
    control: "kernel kills",
    script: `memory . anon:96`,
  },
  {
    name: "in-the-margin",
    what: "fills all but 1 MiB of the limit and stays there: above the imminent level",
    limit: 128,
    control: "margin",
    script: `memory . up-to:127 hold:1000`,
  },
];

export const WORKLOADS: readonly Workload[] = [
  ...PAGE_CACHE,
  ...WRITERS,
  ...KERNEL_MEMORY,
  ...TMPFS,
  ...ANONYMOUS,
  ...PROCESSES,
  ...PROTECTION,
  ...SWAP,
  ...CONTROLS,
];
