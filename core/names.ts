/**
 * File names are bytes. A byte that is not UTF-8 is represented by a lone surrogate, 0xff by U+DCFF (like PEP 383), so that
 * the text converts back to the same name. Pure.
 */

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lossy = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** Takes any bytes; different names are different texts. */
export const decodeName = (bytes: Uint8Array<ArrayBuffer>): string =>
  tryDecode(bytes) ?? decodeInPieces(bytes);

/** The bytes of a name from {@link decodeName}, and UTF-8 of any other text. */
export function encodeName(name: string): Uint8Array<ArrayBuffer> {
  if (name.isWellFormed()) return encoder.encode(name);
  return Uint8Array.from(
    Array.from(name).flatMap((char) => isByte(char) ? [byteOf(char)] : [...encoder.encode(char)]),
  );
}

/** As other programs decode it: U+FFFD for what is not UTF-8. */
export const lossyName = (name: string): string =>
  name.isWellFormed() ? name : lossy.decode(encodeName(name));

/** For output that must be UTF-8: `\xff` for a byte that is not. */
export function visibleBytes(text: string): string {
  if (text.isWellFormed()) return text;
  return Array.from(text, (char) => isByte(char) ? `\\x${byteOf(char).toString(16)}` : char)
    .join("");
}

const isByte = (char: string) => char.length === 1 && /^[\udc80-\udcff]$/.test(char);
const byteOf = (char: string) => char.charCodeAt(0) - 0xdc00;

function tryDecode(bytes: Uint8Array<ArrayBuffer>): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function decodeInPieces(bytes: Uint8Array<ArrayBuffer>): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const length = [1, 2, 3, 4].find((each) =>
      at + each <= bytes.length && tryDecode(bytes.subarray(at, at + each)) !== undefined
    );
    text += length === undefined
      ? String.fromCharCode(0xdc00 + bytes[at]!)
      : tryDecode(bytes.subarray(at, at + length))!;
    at += length ?? 1;
  }
  return text;
}
