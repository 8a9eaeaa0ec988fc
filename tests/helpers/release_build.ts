/** What release artifacts are made from in tests: a stand-in for the executable, and for Debian's files. */

import { join } from "node:path";
import { architectures } from "../../scripts/release/architectures.ts";
import type { Build, Source } from "../../scripts/release/source.ts";
import type { Directory } from "./directory.ts";

export const SOURCE: Source = { version: "1.2.3", commit: "0123456789ab", time: 1_750_000_000 };

/** The architecture of this machine. */
export const here = architectures.find(({ target }) => target === Deno.build.target)!;

/** A build of which the executable is that shell script. */
export function scriptBuild(
  directory: Directory,
  script: string,
  { source = SOURCE, architecture = here } = {},
): Build {
  const name = `oomkit-${source.version}-${architecture.machine}`;
  const executable = directory.write(name, `#!/bin/sh\n${script}\n`, 0o755);
  const library = directory.write("libc.so.6", "a library");
  return {
    ...source,
    architecture,
    executable,
    debian: {
      libraries: { "/lib/libc.so.6": library },
      shell: directory.write("busybox", "a shell", 0o755),
      licences: { "/usr/share/doc/libc6/copyright": library },
      packages: [{ name: "libc6", version: "2.36-9" }],
    },
  };
}

/** @returns what the program prints on both channels. @throws when it fails. */
export async function ran(program: string, ...args: string[]): Promise<string> {
  const { code, said } = await result(program, args);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: exit ${code}: ${said}`);
  return said;
}

export async function result(
  program: string,
  args: readonly string[],
  options: Pick<Deno.CommandOptions, "cwd" | "env"> = {},
): Promise<{ code: number; said: string }> {
  const command = new Deno.Command(program, { args: [...args], stdin: "null", ...options });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  return { code, said: text.decode(stdout) + text.decode(stderr) };
}

/** The paths of all files and links in a directory, sorted. */
export function filesIn(directory: string, inside = ""): string[] {
  return [...Deno.readDirSync(join(directory, inside))].flatMap(({ name, isDirectory }) => {
    const path = join(inside, name);
    return isDirectory ? filesIn(directory, path) : [path];
  }).toSorted();
}
