/** Whether a shell can run a command: POSIX, 2.9.1.4 and 2.8.2. */

import { isExecutable } from "../kernel/process.ts";
import { exists } from "../cgroup/files.ts";

export interface CannotRunReason {
  /** The exit status of the shell: 127 when nothing is found, 126 when it may not be run. */
  readonly status: 126 | 127;
  readonly reason: string;
}

const NOT_EXECUTABLE: CannotRunReason = {
  status: 126,
  reason: "it is not an executable file; name a program, or use chmod +x",
};

/** glibc's, when PATH is not set. */
const DEFAULT_PATH = "/bin:/usr/bin";

/**
 * Why `name` cannot be run; `undefined` when it can.
 *
 * @param path the value of PATH, searched for a name without a slash.
 */
export function cannotRunReason(name: string, path = DEFAULT_PATH): CannotRunReason | undefined {
  if (name === "") return { status: 127, reason: "the name is empty; name a program after --" };
  const files = name.includes("/")
    ? [name]
    : path.split(":").map((dir) => `${dir === "" ? "." : dir}/${name}`);
  // As in the shell: a file that may not be run does not end the search.
  const program = files.find((file) => isExecutable(file));
  if (program !== undefined) return obstacleToInterpreter(program);
  if (files.some(isThere)) return NOT_EXECUTABLE;
  const where = name.includes("/") ? "there is no such file" : "no directory of PATH has it";
  return { status: 127, reason: `${where}; check the spelling` };
}

/** When the interpreter of a script is missing, execve(2) reports the script itself as missing. */
function obstacleToInterpreter(program: string): CannotRunReason | undefined {
  const interpreter = interpreterOf(program);
  if (interpreter === undefined || isExecutable(interpreter)) return undefined;
  return isThere(interpreter)
    ? { status: 126, reason: `its interpreter ${interpreter} is not executable` }
    : { status: 127, reason: `its interpreter ${interpreter} does not exist` };
}

function interpreterOf(program: string): string | undefined {
  // The kernel reads no more of a file to detect its format: include/uapi/linux/binfmts.h, BINPRM_BUF_SIZE.
  const start = new Uint8Array(256);
  try {
    using file = Deno.openSync(program);
    const text = new TextDecoder().decode(start.subarray(0, file.readSync(start) ?? 0));
    return /^#![ \t]*([^ \t\n]+)[ \t\n]/.exec(text)?.[1];
  } catch {
    // A file that may be run but not read cannot be a script.
    return undefined;
  }
}

/** False also where stat(2) is denied: such a file cannot be run. */
function isThere(file: string): boolean {
  try {
    return exists(file);
  } catch {
    return false;
  }
}
