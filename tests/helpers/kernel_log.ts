/** Another file at /dev/kmsg, as in LXC, LXD and kind. */

import { makeDirectory } from "./directory.ts";

/**
 * Runs the rest of the command line in a mount namespace with the file at /dev/kmsg.
 *
 * @param make shell code that creates the file `$f`.
 */
export const withKernelLog = (directory: string, make: string): string[] => [
  "unshare",
  "-m",
  "sh",
  "-c",
  // A directory is mounted with its parent in the place of /dev.
  `d=${directory} && f=$d/kmsg && ${make} && if [ -d $f ]; then cp -a /dev/null /dev/zero /dev/urandom $d &&
   mount --bind $d /dev; else mount --bind $f /dev/kmsg; fi && exec "$0" "$@"`,
];

async function canUnshare(): Promise<boolean> {
  if (Deno.build.os !== "linux") return false;
  using directory = makeDirectory();
  try {
    const args = withKernelLog(directory.path, ": > $f").slice(1);
    const { success } = await new Deno.Command("unshare", { args: [...args, "true"] }).output();
    return success;
  } catch {
    return false;
  }
}

/** Why the file cannot be replaced here. */
export const noMountNamespace = await canUnshare()
  ? undefined
  : "no mount namespace can be made here";
