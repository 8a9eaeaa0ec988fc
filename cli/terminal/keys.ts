/** Parses the keys in the text that a terminal sends. Pure. */

/**
 * Control characters, and what follows an escape: ECMA-48 and xterm's "PC-Style Function Keys", which current terminals use; also
 * those of rxvt and the Linux console.
 */
const CODES = {
  up: ["[A", "OA", "\x10"],
  down: ["[B", "OB", "\x0e"],
  right: ["[C", "OC"],
  left: ["[D", "OD"],
  "page-up": ["[5~", "\x02"],
  "page-down": ["[6~", "\x06"],
  home: ["[H", "OH", "[1~", "[7~"],
  end: ["[F", "OF", "[4~", "[8~"],
  enter: ["OM", "\r", "\n"],
  escape: [],
  backspace: ["\x7f", "\x08"],
  clear: ["\x15"],
  interrupt: ["\x03"],
  suspend: ["\x1a"],
  redraw: ["\x0c"],
} as const;

export type NamedKey = keyof typeof CODES;

/** A character or a named key. */
export type Key =
  | { readonly name: "text"; readonly text: string }
  | { readonly name: NamedKey };

const NAMES: ReadonlyMap<string, NamedKey> = new Map(
  Object.entries(CODES).flatMap(([name, codes]) => codes.map((code) => [code, name as NamedKey])),
);

// deno-lint-ignore no-control-regex
const SEQUENCE = /^\x1b(\[[0-9;:<=>?]*[ -\/]*[@-~]|O[@-~])/;
// deno-lint-ignore no-control-regex
const UNFINISHED = /^\x1b(\[[0-9;:<=>?]*[ -\/]*|O)?$/;

/**
 * The keys of `text`, and an unfinished sequence at its end. A lone escape may be the key or the start of a sequence. Unknown
 * sequences and the prefix of Alt are skipped.
 *
 * @param isComplete nothing followed for a while: an unfinished sequence is the escape key
 */
export function keysOf(
  text: string,
  isComplete = false,
): { readonly keys: Key[]; readonly rest: string } {
  const keys: Key[] = [];
  let rest = text;
  while (rest !== "") {
    const sequence = SEQUENCE.exec(rest);
    if (sequence) {
      // Modifiers are ignored: `[1;5A` is Control and the arrow.
      const plain = sequence[1]!.replace(/^\[1;\d+(?=[A-H]$)/, "[").replace(/;\d+~$/, "~");
      const name = NAMES.get(plain);
      if (name) keys.push({ name });
      rest = rest.slice(sequence[0].length);
    } else if (UNFINISHED.test(rest)) {
      if (!isComplete) return { keys, rest };
      keys.push({ name: "escape" });
      rest = rest.length > 1 ? rest.slice(2) : "";
    } else if (rest.startsWith("\x1b")) {
      rest = rest.slice(1);
      if (rest.startsWith("\x1b")) keys.push({ name: "escape" });
    } else {
      const character = String.fromCodePoint(rest.codePointAt(0)!);
      const name = NAMES.get(character);
      if (name) keys.push({ name });
      else if (character >= " ") keys.push({ name: "text", text: character });
      rest = rest.slice(character.length);
    }
  }
  return { keys, rest: "" };
}
