/** Parses the keys in the text that a terminal sends. Pure. */

/** A character or a named key. */
export type Key =
  | { readonly name: "text"; readonly text: string }
  | { readonly name: NamedKey };

export type NamedKey =
  | "up"
  | "down"
  | "left"
  | "right"
  | "page-up"
  | "page-down"
  | "home"
  | "end"
  | "enter"
  | "escape"
  | "backspace"
  | "clear"
  | "interrupt"
  | "suspend"
  | "redraw";

/** ECMA-48 and xterm's "PC-Style Function Keys", which current terminals use; also those of rxvt and the Linux console. */
const SEQUENCES: Readonly<Record<string, NamedKey>> = {
  "[A": "up",
  "[B": "down",
  "[C": "right",
  "[D": "left",
  "OA": "up",
  "OB": "down",
  "OC": "right",
  "OD": "left",
  "[5~": "page-up",
  "[6~": "page-down",
  "[H": "home",
  "[F": "end",
  "OH": "home",
  "OF": "end",
  "[1~": "home",
  "[4~": "end",
  "[7~": "home",
  "[8~": "end",
  "OM": "enter",
};

const CONTROLS: Readonly<Record<string, NamedKey>> = {
  "\x03": "interrupt",
  "\x1a": "suspend",
  "\x0c": "redraw",
  "\r": "enter",
  "\n": "enter",
  "\x7f": "backspace",
  "\x08": "backspace",
  "\x15": "clear",
  "\x06": "page-down",
  "\x02": "page-up",
  "\x0e": "down",
  "\x10": "up",
};

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
      const name = SEQUENCES[plain];
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
      const name = CONTROLS[character];
      if (name) keys.push({ name });
      else if (character >= " ") keys.push({ name: "text", text: character });
      rest = rest.slice(character.length);
    }
  }
  return { keys, rest: "" };
}
