/**
 * The root file system of the container image: the executable, its shared libraries and a shell, and nothing else.
 * `deno run -A scripts/build/rootfs.ts [--program FILE] [--no-shell] DIR` makes it. DIR must not exist, or be empty.
 */

import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { compiled } from "../command.ts";
import { findProgram, librariesOf } from "../guest_kernel/image.ts";
import { Mistake, printLine, run } from "../terminal.ts";

/** Mount points, and the user that the manifests run as where root is not needed. */
const directories = ["proc", "sys", "dev", "tmp", "run/oomkit", "etc/oomkit"];
const passwd = "root:x:0:0:root:/:/bin/sh\noomkit:x:65532:65532:oomkit:/:/bin/false\n";
const group = "root:x:0:\noomkit:x:65532:\n";

interface RootFileSystem {
  readonly program: string;
  /** A static program that is a shell when it is called `sh`; none: no hooks, no restore watchdog, no `watch -- COMMAND`. */
  readonly shell?: string | undefined;
  /** Files by their path in it; the libraries that this machine has for the program without them. */
  readonly libraries?: Readonly<Record<string, string>>;
}

/** @returns the paths of the files in it. @throws Mistake where it cannot be made. */
export function makeRootFileSystem(
  dir: string,
  { program, shell, libraries }: RootFileSystem,
): string[] {
  Deno.mkdirSync(dir, { recursive: true });
  if ([...Deno.readDirSync(dir)].length > 0) {
    throw new Mistake(`cannot make ${dir}: it is there and not empty; remove it first`);
  }
  if (shell !== undefined && libraries === undefined && librariesOf(shell).length > 0) {
    throw new Mistake(
      `cannot use ${shell}: it is not static; apt-get install busybox-static, or --no-shell`,
    );
  }
  const copies: [string, string][] = [
    ["/oomkit", program],
    // A library goes where the loader found it, whatever links lead there.
    ...Object.entries(
      libraries ?? Object.fromEntries(librariesOf(program).map((path) => [path, path])),
    ),
    ...(shell === undefined ? [] : [["/bin/sh", shell] as [string, string]]),
  ];
  for (const directory of directories) Deno.mkdirSync(join(dir, directory), { recursive: true });
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
export const findShell = (): string | undefined => findProgram("busybox");

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    allowNegative: true,
    options: {
      program: { type: "string", default: compiled },
      shell: { type: "boolean", default: true },
    },
  });
  const [dir, ...more] = positionals;
  if (dir === undefined || more.length > 0) throw new Mistake("name one directory to make");
  const shell = values.shell ? findShell() : undefined;
  if (values.shell && shell === undefined) {
    throw new Mistake("there is no busybox; apt-get install busybox-static, or --no-shell");
  }
  for (const path of makeRootFileSystem(dir, { program: values.program, shell })) printLine(path);
  return 0;
}

if (import.meta.main) await run("rootfs", main);
