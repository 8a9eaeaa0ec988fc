/**
 * Writes the archive that a Linux kernel unpacks as its first root (kernel: Documentation/driver-api/early-userspace/
 * buffer-format.rst, format `newc`). Done here rather than by cpio(1), as that needs a copy of the tree on disk first:
 * the guest's programs are 230 MB.
 */

import { writeAll } from "../terminal.ts";

export type Entry =
  | { readonly kind: "directory"; readonly path: string; readonly mode?: number }
  | { readonly kind: "link"; readonly path: string; readonly to: string }
  | { readonly kind: "text"; readonly path: string; readonly text: string; readonly mode?: number }
  | { readonly kind: "copy"; readonly path: string; readonly from: string; readonly mode?: number };

const typeBits = { directory: 0o040000, link: 0o120000, text: 0o100000, copy: 0o100000 };

/**
 * @param path of the archive on the host; overwritten.
 * @param entries in any order; the directories above each are added.
 * @throws Deno.errors.NotFound where a file to be copied does not exist.
 */
export function writeArchive(path: string, entries: readonly Entry[]): void {
  using file = Deno.openSync(path, { write: true, create: true, truncate: true });
  let inode = 0;
  for (const entry of withDirectories(entries)) writeEntry(file, entry, ++inode);
  writeAll(file, header("TRAILER!!!", 0, 0, 0));
}

/** The kernel does not make the directories that lead to a file: each must come before what it holds. */
export function withDirectories(entries: readonly Entry[]): Entry[] {
  const whole = new Map<string, Entry>();
  const directories = new Map(
    entries.filter((e) => e.kind === "directory").map((e) => [e.path, e]),
  );
  for (const entry of entries) {
    const parts = entry.path.split("/").slice(1);
    for (let depth = 1; depth < parts.length; depth++) {
      const above = "/" + parts.slice(0, depth).join("/");
      if (!whole.has(above)) {
        whole.set(above, directories.get(above) ?? { kind: "directory", path: above });
      }
    }
    whole.set(entry.path, entry);
  }
  return [...whole.values()];
}

function writeEntry(file: Deno.FsFile, entry: Entry, inode: number): void {
  const content = contentOf(entry);
  const mode = typeBits[entry.kind] | permissions(entry);
  writeAll(file, header(entry.path.slice(1), mode, content.length, inode));
  writeAll(file, content);
  writeAll(file, new Uint8Array(padding(content.length)));
}

function contentOf(entry: Entry): Uint8Array {
  if (entry.kind === "copy") return Deno.readFileSync(entry.from);
  const text = entry.kind === "link" ? entry.to : entry.kind === "text" ? entry.text : "";
  return new TextEncoder().encode(text);
}

function permissions(entry: Entry): number {
  if (entry.kind === "link") return 0o777;
  return entry.mode ?? (entry.kind === "directory" ? 0o755 : 0o644);
}

function header(name: string, mode: number, size: number, inode: number): Uint8Array {
  const encoder = new TextEncoder();
  const nameSize = encoder.encode(name).length + 1;
  const links = (mode & 0o170000) === typeBits.directory ? 2 : 1;
  const fields = [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, nameSize, 0];
  const text = "070701" + fields.map((field) => field.toString(16).padStart(8, "0")).join("");
  return encoder.encode(text + name + "\0".repeat(1 + padding(text.length + nameSize)));
}

/** Everything in the archive begins at a multiple of four. */
const padding = (length: number): number => (4 - (length % 4)) % 4;
