/**
 * Loaded ahead of the program (`deno run --preload`), in a test only: it stands in the doors through which the program changes
 * something or waits, counts what goes through, and at one of these steps ends the process as SIGKILL does. It imports nothing
 * of the program's, so that it stands before the sources and before a bundle alike.
 *
 * `OOMKIT_STEPS_LOG` is a file that gets a line for each step, `THREAD NAME COUNT`; `OOMKIT_STEP` is one of these lines with
 * `before` or `after` behind it. With `OOMKIT_STEP_MINDER=dies` the guard's minder is gone first. Several waits in a row
 * between which the thread changed nothing are one step: what is left by an end within them is the same. What ends with the
 * process by itself, such as an epoll set, is no change.
 */

const log = Deno.env.get("OOMKIT_STEPS_LOG");
const fatal = Deno.env.get("OOMKIT_STEP");
const minderDies = Deno.env.get("OOMKIT_STEP_MINDER") === "dies";

const thread = "WorkerGlobalScope" in globalThis ? "sentry" : "main";
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
  // The sentry's thread asks the log for what the main one started.
  const minder = /^minder (\d+)$/m.exec(log ? readTextFileSync(log) : "")?.[1];
  if (minderDies && minder !== undefined) kill(Number(minder), "SIGKILL");
  kill(self, "SIGKILL");
  // What another thread is in the middle of may take the kernel a moment.
  for (;;) { /* nothing more */ }
}

type Call = (this: unknown, ...values: never[]) => unknown;

/** Each call of `real` is a step. */
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
function stand(on: object, name: string, step = name, isWait = false): void {
  const real = Reflect.get(on, name) as Call;
  Object.defineProperty(on, name, {
    value: counted(step, real, isWait),
    writable: true,
    configurable: true,
  });
}

const WRITING = ["write", "append", "create", "createNew", "truncate"] as const;

function standInForFiles(): void {
  for (const name of ["mkdirSync", "removeSync", "renameSync", "truncateSync"]) stand(Deno, name);
  stand(Deno, "kill");
  for (const name of ["writeSync", "syncDataSync", "truncateSync"]) {
    stand(Deno.FsFile.prototype, name);
  }
  const { openSync } = Deno;
  const openToWrite = counted("openSync", openSync as Call) as typeof openSync;
  Object.assign(Deno, {
    openSync: (path: string | URL, options: Deno.OpenOptions = {}) =>
      WRITING.some((each) => options[each]) ? openToWrite(path, options) : openSync(path, options),
  });
  stand(Deno.stdout, "write", "tell", true);
}

function standInForChildren(): void {
  const spawn = Deno.Command.prototype.spawn;
  const start = function (this: Deno.Command) {
    const child = spawn.call(this);
    // Not before it has become what it is to be: until then it is another guard by its looks.
    if (commandOf(child.pid).includes("oomkit-restore")) note(`minder ${child.pid}`);
    stand(child, "kill");
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

/** The library that holds the system calls, whoever loads it. */
function standInForCalls(): void {
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
    // Signal 0 only asks, thousands of times in a rehearsal.
    const isSignal = call === SYS_PIDFD_SEND_SIGNAL && signal !== 0n;
    return isSignal ? send(...values) : real(...values);
  };
}

/** But for an eventfd's counter, by which the threads wake each other. */
function writes(real: Call): Call {
  const write = counted("write", real);
  return (...values) => {
    const [, , size] = values as unknown as readonly [number, unknown, bigint];
    return size === 8n ? real(...values) : write(...values);
  };
}

/** What is loaded ahead of the program is not loaded ahead of its threads. */
function standInForThreads(): void {
  const Real = globalThis.Worker;
  globalThis.Worker = class extends Real {
    constructor(script: string | URL, options?: WorkerOptions) {
      const wrapper = `${log ?? Deno.makeTempFileSync()}.thread.js`;
      const imports = [import.meta.url, script].map((url) => `import ${JSON.stringify(url)};\n`);
      writeTextFileSync(wrapper, imports.join(""));
      super(`file://${wrapper}`, options);
    }
  };
  stand(globalThis.Worker.prototype, "terminate");
}

standInForFiles();
standInForChildren();
standInForCalls();
if (thread === "main") standInForThreads();
