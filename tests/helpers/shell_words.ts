/** Splits a shell line into commands, as far as the documents need it: no expansion, no here-documents. */

export interface ShellCommand {
  /** Unquoted, without leading assignments and redirections. */
  readonly words: readonly string[];
}

const TOKEN =
  /\s+|#[^\n]*|&&|\|\||[;|&\n]|[<$]?\(|\)|\d*[<>]+&?\d*|(?:\\[\s\S]|'[^']*'|"(?:\\[\s\S]|[^"\\])*"|\$\{[^}]*\}|[^\s;|&()<>'"\\])+/gy;

/** @returns the simple commands, including those in `$(…)` and `<(…)`. */
export function shellCommands(line: string): ShellCommand[] {
  const commands: ShellCommand[] = [];
  let words: string[] = [];
  const outer: string[][] = [];
  let skipsNext = false;
  const end = () => {
    const command = words.slice(words.findIndex((word) => !/^\w+=/.test(word)));
    if (command.length > 0) commands.push({ words: command });
    words = [];
  };
  for (const [token] of line.replaceAll("\\\n", " ").matchAll(TOKEN)) {
    if (/^\s*$|^#/.test(token) && token !== "\n") continue;
    if (/^[<$]?\($/.test(token)) {
      outer.push(words);
      words = [];
      skipsNext = false;
    } else if (token === ")") {
      end();
      words = outer.pop() ?? [];
    } else if (/^(&&|\|\||[;|&\n])$/.test(token)) {
      end();
    } else if (/^\d*[<>]/.test(token)) {
      skipsNext = !/&\d$/.test(token);
    } else if (skipsNext) {
      skipsNext = false;
    } else {
      words.push(unquoted(token));
    }
  }
  end();
  return commands;
}

const unquoted = (word: string) =>
  word.replace(
    /\\([\s\S])|'([^']*)'|"((?:\\[\s\S]|[^"\\])*)"/g,
    (_, escaped, single, double) => escaped ?? single ?? double.replace(/\\(["\\$`])/g, "$1"),
  );
