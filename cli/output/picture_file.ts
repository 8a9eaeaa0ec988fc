/** A file for a picture: made before what it is of begins, written when that has ended, gone when there is nothing to show. */

import { OomkitError, shortened } from "../../core/errors.ts";
import { createNewFile } from "../../core/record/new_file.ts";

export interface PictureFile {
  /** All of it, and closes. Throws `OomkitError` when there is no room, and leaves no half of it. */
  write(text: string): void;
  /** Closes, and removes what was made, unless it is written. */
  drop(): void;
}

/** @param what such as `the page`. Throws `OomkitError`. */
export function openPictureFile(path: string, what: string, force: boolean): PictureFile {
  const file = createNewFile(path, force, what);
  const { dev, ino } = file.statSync();
  let isOver = false;
  const drop = () => {
    if (isOver) return;
    isOver = true;
    file.close();
    try {
      const there = Deno.lstatSync(path);
      // Not what somebody else has put in its place meanwhile.
      if (there.dev === dev && there.ino === ino) Deno.removeSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  };
  return {
    drop,
    write(text) {
      try {
        const bytes = new TextEncoder().encode(text);
        for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      } catch (error) {
        drop();
        const why = error instanceof Error ? error.message.split(" (os error")[0] : error;
        throw new OomkitError(
          `cannot write ${what} to ${shortened(path)}: ${why}`,
          "name a file where there is room",
        );
      }
      isOver = true;
      file.close();
    },
  };
}
