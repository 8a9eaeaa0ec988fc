/** The interfaces that the program makes system calls through, so that tests can replace single functions of them. */

import { libc } from "../../core/kernel/libc.ts";

/** Deno makes the functions that run on another thread read-only, but not those of a copy. */
function copyLibraries(): void {
  const { dlopen } = Deno;
  const load = (...given: Parameters<typeof dlopen>) => {
    const library = dlopen(...given);
    return { symbols: { ...library.symbols }, close: () => library.close() };
  };
  Object.assign(Deno, { dlopen: load });
}

// Before the first call of libc().
copyLibraries();

type Table = Record<string, (...values: never[]) => unknown>;

/** @param wrap gets the present function of the C library and returns its replacement. */
export function replaceCall<Arguments extends unknown[], Result>(
  name: string,
  wrap: (real: (...values: Arguments) => Result) => (...values: Arguments) => Result,
): void {
  const table = libc() as unknown as Table;
  table[name] = wrap(table[name] as (...values: Arguments) => Result) as Table[string];
}

let errno: Int32Array | undefined;

/** Sets errno(3), as a call that fails does. */
export function setErrno(number: number): void {
  errno ??= new Int32Array(
    Deno.UnsafePointerView.getArrayBuffer(libc().__errno_location()!, 4),
  );
  errno[0] = number;
}

/** Like Deno's errors: its classes, with the number at the end of the message. */
export function osError(errno: number, call: string, path: string): Error {
  const text = `injected (os error ${errno}): ${call} '${path}'`;
  if (errno === 2) return new Deno.errors.NotFound(text);
  if (errno === 1 || errno === 13) return new Deno.errors.PermissionDenied(text);
  return new Error(text);
}

const decoder = new TextDecoder();

/** The text of a NUL-terminated string. */
export const textOf = (name: Uint8Array): string => decoder.decode(name).replace(/\0.*$/s, "");
