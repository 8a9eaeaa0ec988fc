/** What an allocator is told to do, and what it tells while it does it. */

export const KINDS = ["anon", "file", "shmem"] as const;
export type Kind = typeof KINDS[number];

export const SIGNAL_REPLIES = ["free", "ignore", "exit"] as const;
export type SignalReply = typeof SIGNAL_REPLIES[number];

/** The signals of OOMHero (warning, critical) and of everybody who asks politely. */
export const ANSWERED_SIGNALS = ["SIGUSR1", "SIGUSR2", "SIGTERM"] as const;
export type AnsweredSignal = typeof ANSWERED_SIGNALS[number];

/** Handed to the child as one JSON argument; sizes are bytes, times milliseconds. */
export interface Allocation {
  readonly kind: Kind;
  /** The cgroup.procs of the cgroup to move into; without it the allocator stays where it is. */
  readonly enter?: string;
  /** Where the usage of that cgroup stands. */
  readonly usageFile: string;
  /** Never allocates more. */
  readonly most: number;
  /** Stops before usage exceeds this. */
  readonly stopAt?: number;
  readonly step: number;
  /** Tells of its progress each time that so much more was touched. */
  readonly report: number;
  /** Bytes a second; as fast as it goes without. */
  readonly rate?: number;
  /** How long it keeps the memory when it has stopped. */
  readonly hold: number;
  readonly onSignal?: SignalReply;
  readonly http?: { readonly hostname: string; readonly port: number };
  /** A folder on a disk, for `file`. */
  readonly folder?: string;
  /** The pid that this one must not outlive. */
  readonly parent: number;
}

/** Why an allocator ended by itself. */
export type Ending = "stop" | "most" | "signal";

/** `at` is in microseconds since the epoch, by the allocator's own clock reading. */
export type Progress =
  | { readonly what: "ready"; readonly at: number }
  | {
    readonly what: "allocator_started" | "used";
    readonly allocated: number;
    readonly usage?: number;
    readonly at: number;
  }
  | { readonly what: "signal"; readonly signal: AnsweredSignal; readonly at: number }
  | { readonly what: "done"; readonly why: Ending; readonly at: number };
