/** A directory laid out like a memory hierarchy, with one cgroup in it whose numbers move. */

import { errnoOf } from "../cgroup/files.ts";
import { OomkitError } from "../errors.ts";
import { reasonOf } from "../act/control.ts";
import { type FakeFiles, type FakeState, v1Files, v2Files, v2RootFiles } from "./fake_files.ts";
import { isGone, parseSandboxName, sandboxName, self } from "./sandbox_name.ts";
import { makeTemporaryFolder } from "./temporary_folder.ts";

export interface FakeTree {
  /** For `--root`. */
  readonly dir: string;
  /** Writes what has changed. */
  update(state: FakeState): void;
  /** Removes what was made, and nothing else; harmless when it is gone. */
  remove(): void;
}

/** The cgroup whose numbers move, and one that stands still beside it. */
export const FAKE_CGROUP = "/app";
const IDLE_CGROUP = "/idle";
/** Tells whose tree it is, in the same words as a sandbox's name. */
const MARK = ".oomkit";

const IDLE: FakeState = {
  usage: 4 * 1024 ** 2,
  peak: 5 * 1024 ** 2,
  limit: 64 * 1024 ** 2,
  max: 0n,
  oom: 0n,
  oomKill: 0n,
  pids: [],
  stalled: 0n,
};

/**
 * @param dir is made if it is not there; without it a temporary one.
 * Throws {@link OomkitError} when `dir` is no directory, has something else in it, or belongs to a tree that is still kept up.
 */
export function makeFakeTree(version: 1 | 2, state: FakeState, dir?: string): FakeTree {
  const made: string[] = [];
  const files = new Map<string, FakeFile>();
  const root = dir ?? makeTemporaryFolder();
  if (dir === undefined || claim(root)) made.push(root);

  const write = (folder: string, contents: FakeFiles) => {
    for (const [name, text] of Object.entries(contents)) {
      const path = `${folder}/${name}`;
      const file = files.get(path);
      if (file) file.write(text);
      else files.set(path, openFakeFile(path, text));
    }
  };
  const childFiles = version === 1 ? v1Files : v2Files;
  const rootFiles = version === 1 ? v1Files : v2RootFiles;
  const update = (now: FakeState) => {
    const usage = now.usage + IDLE.usage;
    write(root, rootFiles({ ...now, usage, limit: Infinity, pids: [] }));
    write(`${root}${FAKE_CGROUP}`, childFiles(now));
  };
  const remove = () => {
    for (const [path, file] of files) {
      file.close();
      discard(path);
    }
    files.clear();
    for (const path of made.toReversed()) discard(path);
  };

  try {
    const owner = self();
    const mark = `${root}/${MARK}`;
    Deno.writeTextFileSync(mark, owner ? `${sandboxName("oomkit-sim", owner)}\n` : "\n");
    made.push(mark);
    for (const path of [FAKE_CGROUP, IDLE_CGROUP]) {
      Deno.mkdirSync(`${root}${path}`, { recursive: true });
      made.push(`${root}${path}`);
    }
    write(`${root}${IDLE_CGROUP}`, childFiles(IDLE));
    update(state);
  } catch (error) {
    remove();
    throw new OomkitError(`cannot make a fake tree in ${root}: ${reasonOf(error)}`);
  }
  return { dir: root, update, remove };
}

/** Makes sure that `dir` is ours to fill; true when it was made for that. */
function claim(dir: string): boolean {
  const fail = (why: string): never => {
    throw new OomkitError(
      `cannot make a fake tree in ${dir}: ${why}`,
      "name a folder that is empty or not there",
    );
  };
  try {
    Deno.mkdirSync(dir);
    return true;
  } catch (error) {
    const ENOENT = 2;
    const EEXIST = 17;
    const errno = errnoOf(error);
    if (errno === ENOENT) return fail("the folder to make it in is not there");
    if (errno !== EEXIST) return fail(reasonOf(error));
  }
  if (!Deno.statSync(dir).isDirectory) return fail("it is a file");
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name);
  if (names.length === 0) return false;
  const owner = names.includes(MARK)
    ? parseSandboxName(Deno.readTextFileSync(`${dir}/${MARK}`).trim())?.owner
    : undefined;
  const observer = self();
  if (owner === undefined) return fail("it is not empty");
  if (observer === undefined || !isGone(owner, observer)) {
    return fail(`pid ${owner.pid} is keeping one up there`);
  }
  // Left behind by a run that was killed: everything that is written here is overwritten.
  return false;
}

interface FakeFile {
  write(text: string): void;
  close(): void;
}

const encoder = new TextEncoder();
/** A number grows by a few digits at most while a tree is kept up. */
const SPARE = 8;

/**
 * A file that a reader never finds torn, though it is only rewritten and never replaced, which is what a reader who keeps
 * it open needs: each time one write of the same length over the old bytes. What is left of it is empty lines, which every
 * reader of such files skips; a truncation would show half-empty files, and a shorter text the end of the old one.
 */
function openFakeFile(path: string, first: string): FakeFile {
  const file = Deno.openSync(path, { write: true, create: true });
  let length = first.length + SPARE * (first.split("\n").length - 1) + SPARE;
  let last: string | undefined;
  const write = (text: string) => {
    if (text === last) return;
    last = text;
    length = Math.max(length, text.length);
    file.seekSync(0, Deno.SeekMode.Start);
    file.writeSync(encoder.encode(text.padEnd(length, "\n")));
  };
  write(first);
  // Longer only where a killed run left more; nobody reads it before it is complete.
  file.truncateSync(length);
  return { write, close: () => file.close() };
}

function discard(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Gone already, or somebody put something of his own into the folder: that stays.
  }
}
