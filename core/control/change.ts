/** What a guard changes, as it is recorded on disk before the change: the entries of the journals. */

/** A changed control file. */
export interface Change {
  /** The cgroup's directory and its inode; a new cgroup of that name is not touched. */
  readonly dir: string;
  readonly inode: number;
  readonly file: string;
  readonly before: string;
  /** As the kernel shows it after the write. */
  readonly set: string;
  /** What this guard had set before, and what the file still holds if the guard ended between record and write. */
  readonly earlier?: string;
}

/** A process stopped by SIGSTOP. */
export interface SuspendedProcess extends Pick<Change, "dir" | "inode" | "before" | "set"> {
  readonly file: "state";
  readonly pid: number;
}

/** A control file that stops everything in its cgroup. */
export interface FrozenCgroup extends Change {
  readonly file: "freezer.state" | "cgroup.freeze";
}

export type Suspension = SuspendedProcess | FrozenCgroup;

/** The result of restoring one change. `left`: the value was changed by another program since, and stays. */
export interface Restored extends Pick<Change, "dir" | "inode" | "file" | "before" | "set"> {
  readonly outcome: "restored" | "gone" | "changed" | "failed";
  readonly reason?: string;
}
