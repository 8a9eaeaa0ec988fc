/**
 * `deno run -A scripts/build/rootfs.ts [--program FILE] [--no-shell] DIR`: makes the root file system of the container image. DIR must not
 * exist, or be empty.
 */

import { parseArgs } from "node:util";
import { findShell, makeRootFileSystem } from "./root_file_system.ts";
import { executable } from "../test_stages/kernels.ts";
import { Mistake, printLine, run } from "../terminal.ts";

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    allowNegative: true,
    options: {
      program: { type: "string", default: executable },
      shell: { type: "boolean", default: true },
    },
  });
  const [dir, ...more] = positionals;
  if (dir === undefined || more.length > 0) throw new Mistake("name one folder to make");
  const shell = values.shell ? findShell() : undefined;
  if (values.shell && shell === undefined) {
    throw new Mistake("there is no busybox; apt-get install busybox-static, or --no-shell");
  }
  for (const path of makeRootFileSystem(dir, { program: values.program, shell })) printLine(path);
  return 0;
}

await run("rootfs", main);
