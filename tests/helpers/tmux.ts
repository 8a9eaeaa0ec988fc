/** Runs a program in a tmux terminal: types keys, reads the screen. */

export interface TerminalScreen extends Disposable {
  /** The process in the terminal. */
  readonly pid: number;
  /** Names of keys as tmux has them ("Down", "C-c"), or text to type. */
  press(...keys: string[]): void;
  resize(columns: number, rows: number): void;
  /** The current screen. */
  lines(): string[];
  /** The same as text with escape sequences for colours and styles. */
  styled(): string;
  /** Resolves with the screen once it fits; throws with the last screen after a deadline. */
  until(fits: RegExp | ((text: string) => boolean), what?: string): Promise<string>;
  /** The state of alternate screen, cursor and line wrap. */
  modes(): string;
  /** Closes the terminal while the program runs. */
  hangUp(): void;
}

/** An emulated machine takes seconds to start a program. */
const MAX_MS_TO_FIT = 60_000;
const POLL_MS = 50;

/** Why tmux cannot be used. */
export function whyNoTmux(): string | undefined {
  try {
    return new Deno.Command("tmux", { args: ["-V"], stdout: "null" }).outputSync().success
      ? undefined
      : "tmux does not run";
  } catch {
    return "tmux is not installed";
  }
}

/** The modes of a terminal without a full-screen program. */
export const DEFAULT_MODES = "alternate=0 cursor=1 wrap=1";

let opened = 0;

/** @param command for sh; $DIR is a directory that is removed with the terminal */
export function openTmux(
  command: string,
  { columns = 100, rows = 24, env = {} }: {
    readonly columns?: number;
    readonly rows?: number;
    readonly env?: Record<string, string>;
  } = {},
): TerminalScreen {
  const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const socket = `${dir}/tmux-${++opened}`;
  const variables = { LC_ALL: "C.UTF-8", DIR: dir, ...env };
  const tmux = (...args: string[]): string => {
    const { success, stdout, stderr } = new Deno.Command("tmux", {
      args: ["-u", "-S", socket, "-f", "/dev/null", ...args],
      stdin: "null",
      env: variables,
    }).outputSync();
    const decoder = new TextDecoder();
    if (!success) throw new Error(`tmux ${args[0]}: ${decoder.decode(stderr)}`);
    return decoder.decode(stdout);
  };
  const settings = Object.entries(variables).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
  const size = ["-x", String(columns), "-y", String(rows)];
  tmux("new-session", "-d", "-s", "test", ...size, ...settings, "sh", "-c", command);
  const lines = () => tmux("capture-pane", "-p", "-t", "test").split("\n").slice(0, -1);
  return {
    pid: Number(tmux("display-message", "-p", "-t", "test", "#{pane_pid}")),
    press: (...keys) => void tmux("send-keys", "-t", "test", ...keys),
    resize: (columns, rows) =>
      void tmux("resize-window", "-t", "test", "-x", String(columns), "-y", String(rows)),
    lines,
    styled: () => tmux("capture-pane", "-e", "-p", "-t", "test"),
    async until(fits, what = `fitted ${fits}`) {
      const deadline = performance.now() + MAX_MS_TO_FIT;
      for (let text = "";; await new Promise((resolve) => setTimeout(resolve, POLL_MS))) {
        text = lines().join("\n");
        if (fits instanceof RegExp ? fits.test(text) : fits(text)) return text;
        if (performance.now() > deadline) throw new Error(`never ${what}, but this:\n${text}`);
      }
    },
    modes: () => {
      const flags = "alternate=#{alternate_on} cursor=#{cursor_flag} wrap=#{wrap_flag}";
      return tmux("display-message", "-p", "-t", "test", flags).trim();
    },
    hangUp: () => void tmux("kill-session", "-t", "test"),
    [Symbol.dispose]() {
      try {
        tmux("kill-server");
      } catch { /* it ended with its last session */ }
      Deno.removeSync(dir, { recursive: true });
    },
  };
}

/** A shell with the prompt `$ `. */
export async function openShell(options: Parameters<typeof openTmux>[1] = {}) {
  const screen = openTmux("exec sh -i", { ...options, env: { PS1: "$ ", ...options.env } });
  try {
    await screen.until(/^\$/m, "prompted");
  } catch (error) {
    screen[Symbol.dispose]();
    throw error;
  }
  return screen;
}
