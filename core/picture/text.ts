/** Text from outside inside of HTML and XML: what is special to either is escaped, what XML has no place for is spelt out. Pure. */

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** For content as for attributes in quotes. Control characters and halves of characters have no place in XML, escaped or not. */
export function escaped(text: string): string {
  return text.replace(UNSPEAKABLE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .replace(/[&<>"']/g, (c) => ENTITIES[c]!);
}

// deno-lint-ignore no-control-regex
const UNSPEAKABLE = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]|\p{Surrogate}/gu;

/** JSON that can stand in a `script` element: nothing in it ends the element, or begins a comment. */
export function scriptJson(value: unknown): string {
  return JSON.stringify(value)
    .replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The middle goes: both ends of a path tell neighbours apart. */
export function cut(text: string, most: number): string {
  const letters = [...text];
  if (letters.length <= most) return text;
  const half = (most - 1) / 2;
  return `${letters.slice(0, Math.ceil(half)).join("")}…${
    letters.slice(-Math.floor(half)).join("")
  }`;
}

/** At blanks, into lines of at most so many letters, and at most so many of them. */
export function wrapped(text: string, width: number, most: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1)!;
    if (last !== "" && last.length + 1 + word.length > width) lines.push(cut(word, width));
    else lines[lines.length - 1] = last === "" ? cut(word, width) : `${last} ${word}`;
  }
  if (lines.length <= most) return lines;
  return [...lines.slice(0, most - 1), cut(lines.slice(most - 1).join(" "), width)];
}

/** Container ids cut as container runtimes show them. */
export const withShortIds = (path: string): string =>
  path.replace(/[0-9a-f]{64}/g, (id) => id.slice(0, 12));

/** A name short enough for a label: its last part, ids cut as container runtimes show them. */
export function shortName(path: string, most = 28): string {
  return cut(withShortIds(path.replace(/\/+$/, "").split("/").at(-1) || path), most);
}
