/**
 * Runs the program: the executable named by OOMKIT_BIN, or else the sources with this Deno.
 */

const root = new URL("../..", import.meta.url).pathname;
const decoder = new TextDecoder();

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** Words before the program: `["setpriv", "--reuid=65534", …]`. */
  readonly wrap?: readonly string[];
  /** A program other than {@link oomkit}, such as that of `oomkitForAllUsers`. */
  readonly program?: readonly string[];
}

/** The program and the arguments that come before its own. */
export function oomkit(): string[] {
  const executable = Deno.env.get("OOMKIT_BIN");
  if (executable) return [executable];
  const flags = ["run", "-A", "--quiet", "--no-check", "-c", `${root}deno.json`];
  return [Deno.execPath(), ...flags, `${root}cli/main.ts`];
}

export async function runOomkit(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const [command, ...rest] = [...options.wrap ?? [], ...options.program ?? oomkit(), ...args];
  const { code, stdout, stderr } = await new Deno.Command(command!, {
    args: rest,
    stdin: "null",
    env: { NO_COLOR: "1", ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  }).output();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs the rest of the command line as the unprivileged user 65534. */
export const asUnprivilegedUser = [
  "setpriv",
  "--reuid=65534",
  "--regid=65534",
  "--clear-groups",
] as const;

export interface SharedProgram extends Disposable {
  readonly program: readonly string[];
  readonly env: Record<string, string>;
}

/** The program at a path that every user can read; the sources and Deno's cache may be in a private home. */
export async function oomkitForAllUsers(): Promise<SharedProgram> {
  const executable = Deno.env.get("OOMKIT_BIN");
  const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  Deno.chmodSync(dir, 0o755);
  const cache = `${dir}/cache`;
  Deno.mkdirSync(cache);
  Deno.chmodSync(cache, 0o777);
  const shared = {
    env: { DENO_DIR: cache, HOME: cache },
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
  if (executable && isElf(executable)) return { ...shared, program: [executable] };
  const bundle = `${dir}/oomkit.js`;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "-o", bundle, "cli/main.ts"],
    cwd: root,
  }).output();
  if (!success) throw new Error(`cannot bundle the program: ${decoder.decode(stderr)}`);
  Deno.chmodSync(bundle, 0o644);
  const program = [Deno.execPath(), "run", "-A", "--quiet", "--no-config", bundle];
  return { ...shared, program };
}

/** False for a launcher script, which works only in its directory. */
function isElf(path: string): boolean {
  using file = Deno.openSync(path);
  const magic = new Uint8Array(4);
  file.readSync(magic);
  return decoder.decode(magic.subarray(1)) === "ELF";
}
