/** Pages in headless Chromium, driven over its DevTools protocol. */

import { withDeadline } from "../../core/timing.ts";
import { childrenOf } from "./guarded.ts";

export interface Page extends AsyncDisposable {
  /** Sends a command of the protocol. */
  // deno-lint-ignore no-explicit-any
  send(method: string, params?: Record<string, unknown>): Promise<any>;
  /** The value of an expression in the page; a promise is awaited. */
  // deno-lint-ignore no-explicit-any
  evaluate(expression: string): Promise<any>;
  /** Opens a file and waits for its `load`. */
  open(path: string): Promise<void>;
  /** Console output and exceptions of the page. */
  readonly console: string[];
  /** URLs of network requests, except for the page itself and `data:` URLs. */
  readonly requests: string[];
  /** PNG. */
  screenshot(path: string, whole?: boolean): Promise<void>;
}

const NAMES = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

const program = find();

/** Why tests in a browser cannot run; `undefined` if they can. */
export const whyNoBrowser = program === undefined
  ? "there is no Chromium here; apt-get install chromium-headless-shell"
  : undefined;

function find(): string | undefined {
  for (const directory of (Deno.env.get("PATH") ?? "").split(":")) {
    for (const name of NAMES) {
      try {
        if (Deno.statSync(`${directory}/${name}`).isFile) return `${directory}/${name}`;
      } catch {
        // Not in this directory.
      }
    }
  }
  return undefined;
}

/** For start and answers of the browser, on a busy machine. */
const MAX_MS_TO_ANSWER = 60_000;

export async function openPage(width = 1280, height = 900): Promise<Page> {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-browser-" });
  const child = new Deno.Command(program!, {
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--no-first-run",
      "--disable-background-networking",
      "--remote-debugging-port=0",
      `--user-data-dir=${directory}`,
      `--window-size=${width},${height}`,
      "about:blank",
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const stderr = child.stderr.pipeThrough(new TextDecoderStream());
  const end = async () => {
    // Debian's chromium is a shell script: killing only the script would leave the browser behind.
    for (const pid of [...childrenOf(child.pid), child.pid]) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
    await child.status;
    Deno.removeSync(directory, { recursive: true });
  };
  try {
    const { endpoint, rest } = await endpointIn(stderr);
    const port = new URL(endpoint).port;
    const targets = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
    const socket = new WebSocket(targets[0].webSocketDebuggerUrl);
    const page = await connect(socket, width, height);
    return {
      ...page,
      [Symbol.asyncDispose]: async () => {
        const closed = new Promise((resolve) => socket.onclose = resolve);
        socket.close();
        await closed;
        await end();
        await rest.cancel().catch(() => {});
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

async function endpointIn(stderr: ReadableStream<string>) {
  const rest = stderr.getReader();
  const late = setTimeout(() => rest.cancel("timeout"), MAX_MS_TO_ANSWER);
  let output = "";
  try {
    while (true) {
      const { value, done } = await rest.read();
      if (done) throw new Error(`Chromium did not start: ${output}`);
      output += value;
      const [, endpoint] = /DevTools listening on (ws:\S+)/.exec(output) ?? [];
      if (endpoint !== undefined) return { endpoint, rest };
    }
  } finally {
    clearTimeout(late);
  }
}

type Answer = { readonly result?: unknown; readonly error?: { readonly message: string } };

async function connect(socket: WebSocket, width: number, height: number) {
  const waiting = new Map<number, (answer: Answer) => void>();
  const once = new Map<string, () => void>();
  const lines: string[] = [];
  const requests: string[] = [];
  let own = "";
  let number = 0;
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.id !== undefined) return void waiting.get(message.id)?.(message);
    const { method, params } = message;
    if (method === "Runtime.consoleAPICalled") {
      lines.push(params.args.map((each: { value?: unknown }) => String(each.value)).join(" "));
    } else if (method === "Runtime.exceptionThrown") {
      lines.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    } else if (method === "Log.entryAdded") lines.push(params.entry.text);
    else if (method === "Page.javascriptDialogOpening") lines.push(`dialog: ${params.message}`);
    else if (method === "Network.requestWillBeSent") {
      const { url } = params.request;
      if (url !== own && !url.startsWith("data:")) requests.push(url);
    }
    once.get(method)?.();
  };
  const send = async (method: string, params: Record<string, unknown> = {}) => {
    const id = ++number;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    waiting.set(id, resolve);
    socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await withDeadline(
      MAX_MS_TO_ANSWER,
      promise,
      (): Answer => ({ error: { message: "no answer" } }),
    );
    waiting.delete(id);
    if (error) throw new Error(`${method}: ${error.message}`);
    // deno-lint-ignore no-explicit-any
    return result as any;
  };
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await send(`${domain}.enable`);
  const metrics = { width, height, deviceScaleFactor: 1, mobile: false };
  await send("Emulation.setDeviceMetricsOverride", metrics);
  return {
    console: lines,
    requests,
    send,
    async evaluate(expression: string) {
      const { result, exceptionDetails } = await send("Runtime.evaluate", {
        expression,
        awaitPromise: true,
        returnByValue: true,
      });
      if (exceptionDetails) {
        throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      }
      return result.value;
    },
    async open(path: string) {
      own = new URL(`file://${path}`).href;
      const loaded = new Promise<void>((resolve) => once.set("Page.loadEventFired", resolve));
      await send("Page.navigate", { url: own });
      await loaded;
    },
    async screenshot(path: string, whole = true) {
      const { data } = await send("Page.captureScreenshot", { captureBeyondViewport: whole });
      Deno.writeFileSync(path, Uint8Array.from(atob(data), (c) => c.charCodeAt(0)));
    },
  };
}
