/** Whether a command can be run, by the rules of the shell that runs it: POSIX, 2.9.1.4 and 2.8.2. */

import { isExecutable } from "../kernel/process.ts";
import { exists } from "../cgroup/files.ts";

export interface CannotRunReason {
  /** What a shell exits with: 127 for what is not found, 126 for what may not be run. */
  readonly status: 126 | 127;
  readonly reason: string;
}

const NOT_EXECUTABLE: CannotRunReason = {
  status: 126,
  reason: "it is no executable file; name a program, or make it one with chmod +x",
};

/** glibc's, for when there is no PATH. */
const DEFAULT_PATH = "/bin:/usr/bin";

/**
 * Why `name` cannot be run; `undefined` when nothing is in the way.
 *
 * @param path the variable PATH, where a name without a slash is looked for.
 */
export function cannotRunReason(name: string, path = DEFAULT_PATH): CannotRunReason | undefined {
  if (name === "") return { status: 127, reason: "the name is empty; name a program behind --" };
  const files = name.includes("/")
    ? [name]
    : path.split(":").map((dir) => `${dir === "" ? "." : dir}/${name}`);
  // As the shell does it: what may not be run does not end the search.
  const program = files.find((file) => isExecutable(file));
  if (program !== undefined) return obstacleToInterpreter(program);
  if (files.some(isThere)) return NOT_EXECUTABLE;
  const where = name.includes("/") ? "there is no such file" : "no directory of PATH has it";
  return { status: 127, reason: `${where}; check the spelling` };
}

/** Of a script whose interpreter is missing the kernel says that the script itself is. */
function obstacleToInterpreter(program: string): CannotRunReason | undefined {
  const interpreter = interpreterOf(program);
  if (interpreter === undefined || isExecutable(interpreter)) return undefined;
  return isThere(interpreter)
    ? { status: 126, reason: `its interpreter ${interpreter} is not executable` }
    : { status: 127, reason: `its interpreter ${interpreter} is not there` };
}

function interpreterOf(program: string): string | undefined {
  // The kernel reads no more of a file to see what it is: include/uapi/linux/binfmts.h, BINPRM_BUF_SIZE.
  const start = new Uint8Array(256);
  try {
    using file = Deno.openSync(program);
    const text = new TextDecoder().decode(start.subarray(0, file.readSync(start) ?? 0));
    return /^#![ \t]*([^ \t\n]+)[ \t\n]/.exec(text)?.[1];
  } catch {
    // What may be run may still not be read, and then it is no script.
    return undefined;
  }
}

/** What may not even be looked at cannot be run, and that is all that is asked. */
function isThere(file: string): boolean {
  try {
    return exists(file);
  } catch {
    return false;
  }
}
