/**
 * Loaded before the program (`deno run --preload`), in tests only: it wraps the functions through which the program changes
 * something or waits, counts their calls, and kills the process at one of these steps. It imports nothing of the program, so that it
 * works for the sources and for a bundle.
 *
 * `OOMKIT_STEPS_LOG` is a file that gets a line for each step, `THREAD NAME COUNT`; `OOMKIT_STEP` is one of these lines followed by
 * `before` or `after`. With `OOMKIT_STEP_WATCHDOG=dies` the guard's restore watchdog is killed first. Several waits in a row without
 * a change of the thread between them are one step: a process killed within them leaves the same state. What disappears with the
 * process, such as an epoll set, is not a change.
 */

const log = Deno.env.get("OOMKIT_STEPS_LOG");
const fatal = Deno.env.get("OOMKIT_STEP");
const watchdogDies = Deno.env.get("OOMKIT_STEP_WATCHDOG") === "dies";

const thread = "WorkerGlobalScope" in globalThis ? "monitor" : "main";
const { kill, writeTextFileSync, readTextFileSync, pid: self } = Deno;
const counts = new Map<string, number>();
let hasChanged = true;
let isLogging = false;

const note = (line: string) => {
  isLogging = true;
  if (log) writeTextFileSync(log, `${line}\n`, { append: true });
  isLogging = false;
};

function die(): never {
  // The monitor thread learns from the log what the main thread has started.
  const watchdog = /^watchdog (\d+)$/m.exec(log ? readTextFileSync(log) : "")?.[1];
  if (watchdogDies && watchdog !== undefined) kill(Number(watchdog), "SIGKILL");
  kill(self, "SIGKILL");
  // The kernel may take a moment to end a thread that is within a system call.
  for (;;) { /* until it is killed */ }
}

type Call = (this: unknown, ...values: never[]) => unknown;

/** Makes each call of `real` a step. */
function counted(name: string, real: Call, isWait = false): Call {
  return function (this: unknown, ...values: never[]) {
    const isStep = !isLogging && (!isWait || hasChanged);
    if (!isStep) return real.apply(this, values);
    hasChanged = !isWait;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    const step = `${thread} ${name} ${count}`;
    note(step);
    if (fatal === `${step} before`) die();
    const result = real.apply(this, values);
    if (fatal !== `${step} after`) return result;
    return result instanceof Promise ? result.finally(die) : die();
  };
}

/** Counts the calls of a method. */
function countMethod(on: object, name: string, step = name, isWait = false): void {
  const real = Reflect.get(on, name) as Call;
  Object.defineProperty(on, name, {
    value: counted(step, real, isWait),
    writable: true,
    configurable: true,
  });
}

const WRITING = ["write", "append", "create", "createNew", "truncate"] as const;

function countFileChanges(): void {
  for (const name of ["mkdirSync", "removeSync", "renameSync", "truncateSync"]) {
    countMethod(Deno, name);
  }
  countMethod(Deno, "kill");
  for (const name of ["writeSync", "syncDataSync", "truncateSync"]) {
    countMethod(Deno.FsFile.prototype, name);
  }
  const { openSync } = Deno;
  const openToWrite = counted("openSync", openSync as Call) as typeof openSync;
  Object.assign(Deno, {
    openSync: (path: string | URL, options: Deno.OpenOptions = {}) =>
      WRITING.some((each) => options[each]) ? openToWrite(path, options) : openSync(path, options),
  });
  countMethod(Deno.stdout, "write", "print", true);
}

function countSpawns(): void {
  const spawn = Deno.Command.prototype.spawn;
  const start = function (this: Deno.Command) {
    const child = spawn.call(this);
    // Not before exec(2): until then its command line is that of the guard.
    if (commandOf(child.pid).includes("oomkit-restore")) note(`watchdog ${child.pid}`);
    countMethod(child, "kill");
    return child;
  };
  Deno.Command.prototype.spawn = counted("spawn", start as Call) as typeof start;
}

function commandOf(pid: number): string {
  try {
    return readTextFileSync(`/proc/${pid}/cmdline`);
  } catch {
    return "";
  }
}

const CHANGING = new Set([
  "write_elsewhere",
  "pwrite",
  "ftruncate",
  "kill",
  "sched_setscheduler",
  "syscall_elsewhere",
]);
const WAITING = new Set(["poll_epoll", "epoll_wait", "usleep"]);
const SYS_PIDFD_SEND_SIGNAL = 424n;

/** Wraps the library of the system calls. */
function countSystemCalls(): void {
  const { dlopen } = Deno;
  const load = (...given: Parameters<typeof dlopen>) => {
    const library = dlopen(...given);
    const symbols = Object.fromEntries(
      Object.entries(library.symbols as Record<string, Call>).map(([name, real]) => {
        if (name === "syscall") return [name, signals(real)];
        if (name === "write") return [name, writes(real)];
        if (CHANGING.has(name)) return [name, counted(name, real)];
        return [name, WAITING.has(name) ? counted(name, real, true) : real];
      }),
    );
    return { symbols, close: () => library.close() };
  };
  Object.assign(Deno, { dlopen: load });
}

function signals(real: Call): Call {
  const send = counted("signal", real);
  return (...values) => {
    const [call, , signal] = values as unknown as readonly bigint[];
    // Signal 0 changes nothing, and the warm-up sends thousands.
    const isSignal = call === SYS_PIDFD_SEND_SIGNAL && signal !== 0n;
    return isSignal ? send(...values) : real(...values);
  };
}

/** Without writes to the counter of an eventfd, by which the threads wake each other. */
function writes(real: Call): Call {
  const write = counted("write", real);
  return (...values) => {
    const [, , size] = values as unknown as readonly [number, unknown, bigint];
    return size === 8n ? real(...values) : write(...values);
  };
}

/** `--preload` does not apply to worker threads. */
function preloadInThreads(): void {
  const Real = globalThis.Worker;
  globalThis.Worker = class extends Real {
    constructor(script: string | URL, options?: WorkerOptions) {
      const wrapper = `${log ?? Deno.makeTempFileSync()}.thread.js`;
      const imports = [import.meta.url, script].map((url) => `import ${JSON.stringify(url)};\n`);
      writeTextFileSync(wrapper, imports.join(""));
      super(`file://${wrapper}`, options);
    }
  };
  countMethod(globalThis.Worker.prototype, "terminate");
}

countFileChanges();
countSpawns();
countSystemCalls();
if (thread === "main") preloadInThreads();
