/**
 * Creation and removal of cgroups, through inotify. `Deno.watchFs` stands in where there is no inotify instance: it drops
 * events while 16 wait to be read (denoland/deno issue 11373), and wakes up for every control file that changes.
 */

import { type Cgroup, isThere, parentOf } from "../cgroup/cgroup.ts";
import type { Fd } from "../kernel/fd.ts";
import {
  addWatch,
  IN_CREATE,
  IN_DELETE,
  IN_ISDIR,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_ONLYDIR,
  type InotifyEvent,
  removeWatch,
} from "../kernel/inotify.ts";
import { SystemCallError } from "../kernel/libc.ts";
import type { WatchOptions } from "./options.ts";
import type { SourceReport } from "./source_report.ts";
import { reasonOf } from "./triggers.ts";

/** Called with the directory of a cgroup that was created or removed; `undefined` means that any may have been. */
export type OnChange = (dir: string | undefined) => void;

const CREATED_OR_REMOVED = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;
const NAME = "cgroup creation/removal";

export class HierarchyWatcher {
  readonly source: "inotify" | "watchfs";
  /** By watch, so that a directory created later with the same name has its own. */
  readonly #directories = new Map<number, string>();
  readonly #fsWatchers: { readonly done: Promise<void>; close(): void }[] = [];
  #reportsAllChanges: boolean;

  constructor(
    private readonly options: WatchOptions,
    private readonly inotify: Fd | undefined,
    private readonly report: SourceReport,
  ) {
    this.source = inotify ? "inotify" : "watchfs";
    this.#reportsAllChanges = inotify !== undefined;
  }

  /** Whether every creation and removal is reported, as far as the kernel tells. */
  get reportsAllChanges(): boolean {
    return this.#reportsAllChanges;
  }

  /** Follows the siblings of the targets and, with watchFs, what is below the targets; only watchFs calls `onChange`. */
  start(onChange: OnChange): void {
    const { targets, recursive } = this.options;
    const parents = targets.flatMap((target) => parentOf(target) ?? []);
    if (this.inotify) return parents.forEach((parent) => this.watchChildren(parent));
    if (recursive) this.#watchFs(targets, true, onChange);
    if (parents.length > 0) this.#watchFs(parents, false, onChange);
  }

  /** Follows the children of `cgroup` until the returned function is called; `undefined` without inotify. */
  watchChildren(cgroup: Cgroup): (() => void) | undefined {
    const inotify = this.inotify;
    if (inotify === undefined) return undefined;
    try {
      const watch = addWatch(inotify, cgroup.dir, CREATED_OR_REMOVED);
      this.#directories.set(watch, cgroup.dir);
      this.report.add(`${NAME}: inotify`);
      return () => {
        if (this.#directories.delete(watch)) removeWatch(inotify, watch);
      };
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      if (isThere(cgroup)) this.#reportFallback(cgroup, error);
      return undefined;
    }
  }

  /** The directory of a cgroup that was created or removed; `undefined` when the event is about something else. */
  changedDirectory({ watch, mask, name }: InotifyEvent): string | undefined {
    const dir = this.#directories.get(watch);
    return dir !== undefined && mask & IN_ISDIR && name !== "" ? `${dir}/${name}` : undefined;
  }

  async close(): Promise<void> {
    for (const watcher of this.#fsWatchers) watcher.close();
    await Promise.all(this.#fsWatchers.map(({ done }) => done));
  }

  #watchFs(cgroups: readonly Cgroup[], recursive: boolean, onChange: OnChange): void {
    try {
      const watcher = Deno.watchFs(cgroups.map(({ dir }) => dir), { recursive });
      this.#fsWatchers.push({ done: forward(watcher, onChange), close: () => watcher.close() });
      this.report.add(`${NAME}: watchFs`);
    } catch (error) {
      // NotFound, or an Error when a limit of inotify is reached.
      this.#reportFallback(cgroups[0]!, error);
    }
  }

  #reportFallback({ path }: Cgroup, error: unknown): void {
    this.#reportsAllChanges = false;
    this.report.reportFallback(path, NAME, "read all cgroups every 30 s", reasonOf(error));
  }
}

async function forward(watcher: Deno.FsWatcher, onChange: OnChange): Promise<void> {
  for await (const { flag, kind, paths } of watcher) {
    // The kernel dropped events.
    if (flag === "rescan") onChange(undefined);
    else if (kind === "create" || kind === "remove" || kind === "rename") {
      for (const path of paths) onChange(path);
    }
  }
}
