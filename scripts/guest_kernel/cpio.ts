/**
 * Writes the archive that a Linux kernel unpacks as its first root (kernel: Documentation/driver-api/early-userspace/
 * buffer-format.rst, format `newc`). Done here rather than by cpio(1), as that needs a copy of the tree on disk first:
 * the guest's programs are 230 MB.
 */

export type Entry =
  | { readonly kind: "folder"; readonly path: string; readonly mode?: number }
  | { readonly kind: "link"; readonly path: string; readonly to: string }
  | { readonly kind: "text"; readonly path: string; readonly text: string; readonly mode?: number }
  | { readonly kind: "copy"; readonly path: string; readonly from: string; readonly mode?: number };

const typeBits = { folder: 0o040000, link: 0o120000, text: 0o100000, copy: 0o100000 };

/** Size of the pieces in which a file is copied, in bytes. */
const pieceSize = 1 << 20;

/**
 * @param path of the archive on the host; overwritten.
 * @param entries in any order; the folders above each are added.
 * @throws Deno.errors.NotFound where a file to be copied does not exist.
 */
export function writeArchive(path: string, entries: readonly Entry[]): void {
  using file = Deno.openSync(path, { write: true, create: true, truncate: true });
  let inode = 0;
  for (const entry of withFolders(entries)) writeEntry(file, entry, ++inode);
  writeAll(file, header("TRAILER!!!", 0, 0, 0));
}

/** The kernel does not make the folders that lead to a file: each must come before what it holds. */
export function withFolders(entries: readonly Entry[]): Entry[] {
  const whole = new Map<string, Entry>();
  const folders = new Map(entries.filter((e) => e.kind === "folder").map((e) => [e.path, e]));
  for (const entry of entries) {
    const parts = entry.path.split("/").slice(1);
    for (let depth = 1; depth < parts.length; depth++) {
      const above = "/" + parts.slice(0, depth).join("/");
      if (!whole.has(above)) {
        whole.set(above, folders.get(above) ?? { kind: "folder", path: above });
      }
    }
    whole.set(entry.path, entry);
  }
  return [...whole.values()];
}

function writeEntry(file: Deno.FsFile, entry: Entry, inode: number): void {
  const mode = typeBits[entry.kind] | permissions(entry);
  const name = entry.path.slice(1);
  if (entry.kind === "copy") {
    using source = Deno.openSync(entry.from);
    const size = source.statSync().size;
    writeAll(file, header(name, mode, size, inode));
    copy(source, file, size);
    writeAll(file, padding(size));
    return;
  }
  const content = new TextEncoder().encode(
    entry.kind === "link" ? entry.to : entry.kind === "text" ? entry.text : "",
  );
  writeAll(file, header(name, mode, content.length, inode));
  writeAll(file, content);
  writeAll(file, padding(content.length));
}

function permissions(entry: Entry): number {
  if (entry.kind === "link") return 0o777;
  return entry.mode ?? (entry.kind === "folder" ? 0o755 : 0o644);
}

function header(name: string, mode: number, size: number, inode: number): Uint8Array {
  const bytes = new TextEncoder().encode(name + "\0");
  const links = (mode & 0o170000) === typeBits.folder ? 2 : 1;
  const fields = [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, bytes.length, 0];
  const text = "070701" + fields.map((field) => field.toString(16).padStart(8, "0")).join("");
  const pad = padding(text.length + bytes.length);
  const whole = new Uint8Array(text.length + bytes.length + pad.length);
  whole.set(new TextEncoder().encode(text));
  whole.set(bytes, text.length);
  return whole;
}

/** Everything in the archive begins at a multiple of four. */
function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}

function copy(source: Deno.FsFile, target: Deno.FsFile, size: number): void {
  const piece = new Uint8Array(pieceSize);
  for (let left = size; left > 0;) {
    const count = source.readSync(piece.subarray(0, Math.min(left, pieceSize)));
    if (count === null) {
      throw new Error(`cannot copy a file into the archive: it shrank by ${left}`);
    }
    writeAll(target, piece.subarray(0, count));
    left -= count;
  }
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}
