/** The program in a real terminal, which is tmux's: keys in, screens out. */

import { delay } from "../core/simulate/delay.ts";

const decoder = new TextDecoder();
/** Between two looks at the screen (milliseconds). */
const LOOK_MS = 50;

/** Why there is no terminal here; `undefined` where there is. */
export const whyNoTerminal: string | undefined = (() => {
  try {
    new Deno.Command("tmux", { args: ["-V"], stdout: "null", stderr: "null" }).outputSync();
    return undefined;
  } catch {
    return "tmux is not installed; apt-get install tmux";
  }
})();

export interface SessionOptions {
  readonly columns: number;
  readonly rows: number;
  readonly env?: Record<string, string>;
}

export interface Session extends AsyncDisposable {
  /** The lines that are seen, without blanks at their ends. */
  screen(): Promise<string[]>;
  /** The screen once it fits; throws with what is there instead when it does not by the deadline. */
  until(fits: RegExp | ((text: string) => boolean), milliseconds?: number): Promise<string>;
  /** As tmux names them: `C-c`, `Enter`; other words are typed. */
  type(...keys: string[]): Promise<void>;
  resize(columns: number, rows: number): Promise<void>;
  /** Modes that a program could have left behind. */
  modes(): Promise<
    { readonly cursor: boolean; readonly alternate: boolean; readonly wrap: boolean }
  >;
  /** As when its window is closed. */
  close(): Promise<void>;
}

/** A shell with the prompt `$ ` and a folder $DIR that is removed with it, in a terminal of its own. */
export async function openSession({ columns, rows, env = {} }: SessionOptions): Promise<Session> {
  const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const tmux = async (...args: string[]) => {
    const { success, stdout, stderr } = await new Deno.Command("tmux", {
      args: ["-u", "-f", "/dev/null", "-S", `${dir}/socket`, ...args],
      stdin: "null",
    }).output();
    if (!success) throw new Error(`tmux ${args[0]}: ${decoder.decode(stderr)}`);
    return decoder.decode(stdout);
  };
  const variables = { PS1: "$ ", DIR: dir, LC_ALL: "C.UTF-8", ...env };
  await tmux(
    ...["new-session", "-d", "-x", String(columns), "-y", String(rows)],
    ...["env", ...Object.entries(variables).map(([name, value]) => `${name}=${value}`), "sh"],
  );
  let isOpen = true;
  const screen = async () => {
    const text = await tmux("capture-pane", "-p");
    return text.split("\n").map((line) => line.trimEnd());
  };
  const close = async () => {
    if (!isOpen) return;
    isOpen = false;
    await tmux("kill-server");
  };
  const session: Session = {
    screen,
    async until(fits, milliseconds = 20_000) {
      const deadline = performance.now() + milliseconds;
      for (;;) {
        const text = (await screen()).join("\n");
        if (fits instanceof RegExp ? fits.test(text) : fits(text)) return text;
        if (performance.now() > deadline) {
          throw new Error(`the screen does not fit ${fits}:\n${text}`);
        }
        await delay(LOOK_MS);
      }
    },
    type: async (...keys) => void await tmux("send-keys", ...keys),
    async resize(width, height) {
      await tmux("resize-window", "-x", String(width), "-y", String(height));
    },
    async modes() {
      const format = "#{cursor_flag} #{alternate_on} #{wrap_flag}";
      const flags = (await tmux("display-message", "-p", format)).trim().split(" ");
      const [cursor, alternate, wrap] = flags.map((flag) => flag === "1");
      return { cursor: cursor!, alternate: alternate!, wrap: wrap! };
    },
    close,
    async [Symbol.asyncDispose]() {
      await close();
      Deno.removeSync(dir, { recursive: true });
    },
  };
  try {
    await session.until(/^\$/m);
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
  return session;
}
