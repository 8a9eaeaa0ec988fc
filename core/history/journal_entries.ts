/** Entries of `journalctl -o export` and `-o json-pretty` (systemd: Journal Export Formats), each as one line of JSON. */

/** Of an entry; others may be large. */
const FIELDS = new Set([
  "__REALTIME_TIMESTAMP",
  "__MONOTONIC_TIMESTAMP",
  "_SOURCE_MONOTONIC_TIMESTAMP",
  "_BOOT_ID",
  "_HOSTNAME",
  "_TRANSPORT",
  "MESSAGE",
  "SYSLOG_FACILITY",
]);
const MAX_ENTRY_CHARACTERS = 256 * 1024;

/** Passes on the lines of every other format. */
export async function* entriesOf(lines: AsyncIterable<string>): AsyncGenerator<string> {
  let join: ((line: string) => string | undefined) | undefined;
  let isFirst = true;
  for await (const line of lines) {
    if (isFirst) {
      if (line.startsWith("__CURSOR=")) join = exportJoiner();
      else if (line.trimEnd() === "{") join = prettyJoiner();
    }
    isFirst = false;
    const entry = join ? join(line) : line;
    if (entry !== undefined) yield entry;
  }
  // An entry of an export ends with an empty line.
  const rest = join?.("");
  if (rest !== undefined) yield rest;
}

function exportJoiner(): (line: string) => string | undefined {
  let fields: Record<string, string> = {};
  /** The field of a value that is not text, and the characters of the length before that value. */
  let binary: { readonly name: string; skip: number } | undefined;
  return (line) => {
    if (binary !== undefined) {
      // A length with the byte of a line break ends the line.
      if (line === "") {
        binary.skip = 7;
        return undefined;
      }
      if (FIELDS.has(binary.name)) fields[binary.name] = line.slice(binary.skip);
      binary = undefined;
      return undefined;
    }
    if (line !== "") {
      const at = line.indexOf("=");
      const name = at < 0 ? line : line.slice(0, at);
      if (at < 0 && /^[A-Z_\d]{1,64}$/.test(line)) binary = { name, skip: 8 };
      else if (at >= 0 && FIELDS.has(name)) fields[name] = line.slice(at + 1);
      return undefined;
    }
    const entry = fields;
    fields = {};
    return Object.keys(entry).length === 0 ? undefined : JSON.stringify(entry);
  };
}

function prettyJoiner(): (line: string) => string | undefined {
  let text = "";
  return (line) => {
    if (text.length + line.length <= MAX_ENTRY_CHARACTERS) text += line;
    if (line.trimEnd() !== "}") return undefined;
    const entry = text;
    text = "";
    return entry;
  };
}
