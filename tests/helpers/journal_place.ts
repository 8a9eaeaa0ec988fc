/** A state directory for journals, and a directory that looks like a cgroup. */

import type { Change } from "../../core/control/journal.ts";

export interface JournalPlace extends Disposable {
  /** Not created before {@link leave} or a journal needs it. */
  readonly directory: string;
  readonly dir: string;
  readonly inode: number;
  /** A change of memory.high that would be restored if a journal recorded it. */
  readonly change: Change;
  get(file?: string): string;
  /** A plain file keeps what is not overwritten, so all values of a test should have one length. */
  set(text: string, file?: string): void;
  /** Writes a journal. @param name by default that of a guard that has ended. @returns its path. */
  leave(content: unknown, name?: string): string;
  /** The names of the files in the state directory. */
  names(): string[];
}

/** @param files of the directory; it has a cgroup.procs in any case. */
export function makeJournalPlace(files: Readonly<Record<string, string>>): JournalPlace {
  const root = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const [directory, dir] = [`${root}/state`, `${root}/cgroup`];
  Deno.mkdirSync(dir);
  for (const [file, text] of Object.entries({ "cgroup.procs": "", ...files })) {
    Deno.writeTextFileSync(`${dir}/${file}`, text);
  }
  const inode = Deno.statSync(dir).ino!;
  return {
    directory,
    dir,
    inode,
    change: { dir, inode, file: "memory.high", before: "1000", set: "2000" },
    get: (file = "memory.high") => Deno.readTextFileSync(`${dir}/${file}`),
    set: (text, file = "memory.high") => Deno.writeTextFileSync(`${dir}/${file}`, text),
    leave(content, name = `guard-${Deno.pid}-1.json`) {
      Deno.mkdirSync(directory, { recursive: true });
      const text = typeof content === "string" ? content : JSON.stringify(content);
      Deno.writeTextFileSync(`${directory}/${name}`, text);
      return `${directory}/${name}`;
    },
    names() {
      try {
        return [...Deno.readDirSync(directory)].map(({ name }) => name);
      } catch {
        return [];
      }
    },
    [Symbol.dispose]: () => Deno.removeSync(root, { recursive: true }),
  };
}

export const outcomesOf = (restored: readonly { readonly outcome: string }[]): string[] =>
  restored.map(({ outcome }) => outcome);
