/**
 * Cgroups that come and go, through `Deno.watchFs`, where there is no inotify instance of our own: its events are hints to
 * look, nothing more, and some are dropped (see directories.ts).
 */

export interface FolderWatcher {
  /** Resolves when it has ended. */
  readonly done: Promise<void>;
  close(): void;
}

/**
 * Calls `hint` with the directory of every change beneath `dirs`, and with `undefined` when the kernel dropped events and
 * everything has to be looked at. Throws what `Deno.watchFs` throws: NotFound, or an Error when inotify's limits are met.
 */
export function watchTree(
  dirs: readonly string[],
  recursive: boolean,
  hint: (dir: string | undefined) => void,
): FolderWatcher {
  const watcher = Deno.watchFs([...dirs], { recursive });
  const follow = async () => {
    for await (const event of watcher) {
      if (event.flag === "rescan") hint(undefined);
      else if (event.kind === "create" || event.kind === "remove" || event.kind === "rename") {
        for (const path of event.paths) hint(path);
      }
    }
  };
  return { done: follow(), close: () => watcher.close() };
}
