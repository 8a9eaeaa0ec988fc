/** The floor for waking another thread, through the same FFI: an eventfd there and another one back. */

import { type Fd, openEventfd } from "../../core/kernel/fd.ts";

export interface Echo extends AsyncDisposable {
  /** Microseconds until an eventfd is answered; both threads block in poll(2). */
  roundTrip(): number;
  /** The same by `postMessage`. */
  postedRoundTrip(): Promise<number>;
}

const symbols = {
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The thread blocks only on request, since a blocked thread receives no messages. */
const SCRIPT = `
const { write, read, poll } = Deno.dlopen("libc.so.6", ${JSON.stringify(symbols)}).symbols;
const one = new BigUint64Array([1n]);
const taken = new BigUint64Array(1);
self.onmessage = ({ data }) => {
  if (data === "echo") return self.postMessage(data);
  const waiting = new Int32Array([data.there, 1]);
  for (self.postMessage("ready");;) {
    poll(waiting, 1n, -1);
    read(data.there, taken, 8n);
    if (taken[0] > 1n) break;
    write(data.back, one, 8n);
  }
};`;

/** A count above 1 asks the thread to stop blocking. */
const END = new BigUint64Array([2n]);

export async function startEcho(): Promise<Echo> {
  const library = Deno.dlopen("libc.so.6", symbols);
  const libc = library.symbols;
  const [there, back] = [openEventfd(), openEventfd()] as [Fd, Fd];
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(SCRIPT)}`, {
    type: "module",
  });
  const answer = () => new Promise<void>((resolve) => worker.onmessage = () => resolve());
  const one = new BigUint64Array([1n]);
  const taken = new BigUint64Array(1);
  const waiting = new Int32Array([back.number, 1]);
  let isBlocking = false;
  const block = async () => {
    const ready = answer();
    worker.postMessage({ there: there.number, back: back.number });
    await ready;
    isBlocking = true;
  };
  const unblock = () => {
    if (isBlocking) libc.write(there.number, END, 8n);
    isBlocking = false;
  };
  await block();
  return {
    roundTrip() {
      const start = performance.now();
      libc.write(there.number, one, 8n);
      libc.poll(waiting, 1n, -1);
      const time = 1000 * (performance.now() - start);
      libc.read(back.number, taken, 8n);
      return time;
    },
    async postedRoundTrip() {
      unblock();
      const answered = answer();
      const start = performance.now();
      worker.postMessage("echo");
      await answered;
      return 1000 * (performance.now() - start);
    },
    async [Symbol.asyncDispose]() {
      unblock();
      const heard = answer();
      worker.postMessage("echo");
      await heard;
      worker.terminate();
      library.close();
      there.close();
      back.close();
    },
  };
}
