/** An interactive shell on its own terminal: types into it and reads the edited line. */

const encoder = new TextEncoder();

/** Per shell: commands that bind Ctrl-G to print the line between \x02 and \x03. */
const SHELLS = {
  bash: {
    command: "bash --norc --noprofile -i",
    start: [
      `bind 'set bell-style none'`,
      `bind 'set enable-bracketed-paste off'`,
      `bind -x '"\\C-g": printf "\\002%s\\003" "$READLINE_LINE"'`,
    ],
  },
  zsh: {
    command: "zsh -f -i",
    start: [
      "unsetopt beep prompt_cr",
      "autoload -U compinit && compinit -u -D",
      `show() { printf "\\002%s\\003" "$BUFFER" }`,
      "zle -N show && bindkey '^G' show",
      "bindkey '^U' kill-whole-line",
    ],
  },
} as const;

export interface TypedShell extends AsyncDisposable {
  /** Returns the line after `typed` and the Tab key. */
  complete(typed: string): Promise<string>;
}

/** @param source a script that the shell loads first. */
export async function openShell(
  shell: keyof typeof SHELLS,
  source: string,
  env: Readonly<Record<string, string>> = {},
): Promise<TypedShell> {
  const { command, start } = SHELLS[shell];
  const child = new Deno.Command("script", {
    args: ["--quiet", "--return", "--command", command, "/dev/null"],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
    env: { TERM: "dumb", PS1: "", HISTFILE: "/dev/null", ...env },
  }).spawn();
  const writer = child.stdin.getWriter();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const type = (text: string) => writer.write(encoder.encode(text));
  let shown = "";
  const line = async () => {
    for (;;) {
      const [from, to] = [shown.indexOf("\x02"), shown.indexOf("\x03")];
      if (from >= 0 && to > from) {
        const found = shown.slice(from + 1, to);
        shown = shown.slice(to + 1);
        return found;
      }
      const { value, done } = await reader.read();
      if (done) throw new Error(`${shell} ended: ${shown}`);
      shown += value;
    }
  };
  // Line by line: text typed before a prompt is echoed twice. The quotes distinguish the echo from the output.
  for (const each of [...start, `source ${source}`]) await type(`${each}\n`);
  await type(`printf '\\002%s\\003' 'be''gun'\n`);
  while (await line() !== "begun");
  return {
    async complete(typed) {
      await type(`${typed}\t\x07`);
      const completed = await line();
      await type("\x15");
      return completed;
    },
    async [Symbol.asyncDispose]() {
      await type("\x15exit\n");
      await writer.close().catch(() => {});
      await reader.cancel();
      await child.status;
    },
  };
}
