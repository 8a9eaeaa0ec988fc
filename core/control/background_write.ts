/** Writes to control files that take the kernel long, as where it reclaims memory meanwhile. */

import { type Fd, O_WRONLY, openIn, writeOnThread } from "../kernel/fd.ts";

/** No write reports its end, and until then its file must stay open and its text in memory. */
const underway: { readonly file: Fd; readonly text: Uint8Array<ArrayBuffer> }[] = [];
const MAX_UNDERWAY = 16;

/** Does not wait for the end of the write, and ignores its result. Throws {@link SystemCallError} when the file cannot be opened. */
export function writeInBackground(directory: Fd, name: string, value: string): void {
  const file = openIn(directory, name, O_WRONLY);
  const text = new TextEncoder().encode(value);
  underway.push({ file, text });
  if (underway.length > MAX_UNDERWAY) underway.shift()!.file.close();
  writeOnThread(file, text);
}
