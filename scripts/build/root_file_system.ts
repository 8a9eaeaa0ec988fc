/** The root file system of the container image: the executable, its shared libraries and a shell, and nothing else. */

import { dirname, join } from "node:path";
import { findProgram } from "../guest_kernel/image.ts";
import { Mistake } from "../terminal.ts";
import { librariesOf } from "./shared_libraries.ts";

/** Mount points, and the user that the manifests run as where root is not needed. */
const folders = ["proc", "sys", "dev", "tmp", "run/oomkit", "etc/oomkit"];
const passwd = "root:x:0:0:root:/:/bin/sh\noomkit:x:65532:65532:oomkit:/:/bin/false\n";
const group = "root:x:0:\noomkit:x:65532:\n";

export interface RootFileSystem {
  readonly program: string;
  /** A static program that is a shell when it is called `sh`; none: no hooks, no restore watchdog, no `watch -- COMMAND`. */
  readonly shell?: string | undefined;
}

/** @returns the paths of the files in it. @throws Mistake where it cannot be made. */
export function makeRootFileSystem(dir: string, { program, shell }: RootFileSystem): string[] {
  Deno.mkdirSync(dir, { recursive: true });
  if ([...Deno.readDirSync(dir)].length > 0) {
    throw new Mistake(`cannot make ${dir}: it is there and not empty; remove it first`);
  }
  if (shell !== undefined && librariesOf(shell).length > 0) {
    throw new Mistake(
      `cannot use ${shell}: it is not static; apt-get install busybox-static, or --no-shell`,
    );
  }
  const copies: [string, string][] = [
    ["/oomkit", program],
    // A library goes where the loader found it, whatever links lead there.
    ...librariesOf(program).map((path): [string, string] => [path, path]),
    ...(shell === undefined ? [] : [["/bin/sh", shell] as [string, string]]),
  ];
  for (const folder of folders) Deno.mkdirSync(join(dir, folder), { recursive: true });
  Deno.chmodSync(join(dir, "tmp"), 0o1777);
  for (const [path, from] of copies) {
    Deno.mkdirSync(dirname(join(dir, path)), { recursive: true });
    Deno.copyFileSync(from, join(dir, path));
    Deno.chmodSync(join(dir, path), 0o755);
  }
  Deno.writeTextFileSync(join(dir, "etc/passwd"), passwd);
  Deno.writeTextFileSync(join(dir, "etc/group"), group);
  return [...copies.map(([path]) => path), "/etc/passwd", "/etc/group"];
}

/** BusyBox, which Debian has as a static program. */
export function findShell(): string | undefined {
  return findProgram("busybox");
}
