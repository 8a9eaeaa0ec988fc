/** Lists a directory with getdents64(2): Deno leaves out names that are not UTF-8. */

import { decodeName } from "../names.ts";
import { errno, libc, SystemCallError } from "./libc.ts";
import { openDirectory } from "./fd.ts";

// asm/unistd_64.h and asm-generic/unistd.h; glibc has the function only since 2.30.
const SYS_GETDENTS64 = Deno.build.arch === "aarch64" ? 61n : 217n;
/** dirent.h, DT_DIR. */
const DIRECTORY = 4;
/** struct linux_dirent64: u64 d_ino, d_off; u16 d_reclen; u8 d_type; char d_name[] */
const LENGTH_OFFSET = 16;
const TYPE_OFFSET = 18;
const NAME_OFFSET = 19;

const buffer = new Uint8Array(32 * 1024);
const view = new DataView(buffer.buffer);

/** The names of the directories in `path`, unsorted, without `.` and `..`. Throws {@link SystemCallError}. */
export function namesOfDirectories(path: string): string[] {
  using directory = openDirectory(path);
  const names: string[] = [];
  const to = Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
  for (;;) {
    const size = BigInt(buffer.length);
    const n = Number(
      libc().syscall(SYS_GETDENTS64, BigInt(directory.number), BigInt(to), size, 0n),
    );
    if (n < 0) throw new SystemCallError("getdents64", errno(), path);
    if (n === 0) return names.filter((name) => name !== "." && name !== "..");
    for (let at = 0; at < n; at += view.getUint16(at + LENGTH_OFFSET, true)) {
      if (buffer[at + TYPE_OFFSET] !== DIRECTORY) continue;
      const begin = at + NAME_OFFSET;
      names.push(decodeName(buffer.subarray(begin, buffer.indexOf(0, begin))));
    }
  }
}
