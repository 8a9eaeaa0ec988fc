/**
 * Names of files are bytes. Those that are no UTF-8 stand in a text as what no UTF-8 can spell: the byte 0xff as the lone
 * surrogate U+DCFF (PEP 383 does the same), so that the name can be found again by it. Pure.
 */

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lossy = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** Of any bytes; no two names are the same text. */
export function decodeName(bytes: Uint8Array<ArrayBuffer>): string {
  return whole(bytes) ?? pieces(bytes);
}

/** The bytes that a name from {@link decodeName} stands for, and UTF-8 of any other text. */
export function encodeName(name: string): Uint8Array<ArrayBuffer> {
  if (name.isWellFormed()) return encoder.encode(name);
  return Uint8Array.from(
    Array.from(name).flatMap((char) =>
      isByte(char) ? [char.charCodeAt(0) - 0xdc00] : [
        ...encoder.encode(char),
      ]
    ),
  );
}

/** As everybody else reads it: U+FFFD for what is no UTF-8. */
export function lossyName(name: string): string {
  return name.isWellFormed() ? name : lossy.decode(encodeName(name));
}

/** Where UTF-8 is all that can be written: such a byte as `\xff`. */
export function visibleBytes(text: string): string {
  if (text.isWellFormed()) return text;
  return Array.from(text, (char) => isByte(char) ? `\\x${hexOf(char)}` : char).join("");
}

const isByte = (char: string) => char.length === 1 && /^[\udc80-\udcff]$/.test(char);
const hexOf = (char: string) => (char.charCodeAt(0) - 0xdc00).toString(16);

function whole(bytes: Uint8Array<ArrayBuffer>): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function pieces(bytes: Uint8Array<ArrayBuffer>): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const length = [1, 2, 3, 4].find((each) =>
      at + each <= bytes.length && whole(bytes.subarray(at, at + each)) !== undefined
    );
    text += length === undefined
      ? String.fromCharCode(0xdc00 + bytes[at]!)
      : whole(bytes.subarray(at, at + length))!;
    at += length ?? 1;
  }
  return text;
}
