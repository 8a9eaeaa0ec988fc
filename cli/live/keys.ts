/** What was typed, out of the bytes that a terminal sends. Pure. */

/** A character as it is, or one of the keys that have a name. */
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

/** ECMA-48 and xterm's "PC-Style Function Keys", which all terminals of today follow; those of rxvt and the Linux console too. */
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
 * The keys of `text`, and the beginning of a sequence whose end is still to come. An escape alone may be either: it is a key once
 * nothing has followed for a moment, which `isAll` says. Sequences that nobody knows are no key; a prefix of Alt is passed over.
 */
export function keysOf(
  text: string,
  isAll = false,
): { readonly keys: Key[]; readonly rest: string } {
  const keys: Key[] = [];
  let rest = text;
  while (rest !== "") {
    const sequence = SEQUENCE.exec(rest);
    if (sequence) {
      // Modifiers make no difference here: `[1;5A` is Control and the arrow.
      const plain = sequence[1]!.replace(/^\[1;\d+(?=[A-H]$)/, "[").replace(/;\d+~$/, "~");
      const name = SEQUENCES[plain];
      if (name) keys.push({ name });
      rest = rest.slice(sequence[0].length);
    } else if (UNFINISHED.test(rest)) {
      if (!isAll) return { keys, rest };
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
