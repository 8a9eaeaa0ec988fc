/** Archives without anything of the machine and the time at which they are made. */

import { dirname, join } from "node:path";
import { succeed } from "../command.ts";

/** Content by path in the archive. */
export type Files = Readonly<Record<string, FileContent>>;

export interface FileContent {
  /** Text or bytes, or the path of a file to copy. */
  readonly content: string | Uint8Array | { readonly copyOf: string };
  /** 0o644 without it. */
  readonly mode?: number;
}

/** Whatever the umask is. */
export function writeFiles(directory: string, files: Files): void {
  const umask = Deno.umask(0o022);
  try {
    for (const [path, { content, mode = 0o644 }] of Object.entries(files)) {
      const file = join(directory, path);
      Deno.mkdirSync(dirname(file), { recursive: true });
      if (typeof content === "string") Deno.writeTextFileSync(file, content);
      else if (content instanceof Uint8Array) Deno.writeFileSync(file, content);
      else Deno.copyFileSync(content.copyOf, file);
      Deno.chmodSync(file, mode);
    }
  } finally {
    Deno.umask(umask);
  }
}

/** Packs all that is in `directory`; `.tgz` and `.gz` are compressed. */
export async function tar(directory: string, output: string, time: number): Promise<void> {
  const neutral = [
    "--format=ustar",
    "--sort=name",
    `--mtime=@${time}`,
    "--owner=0",
    "--group=0",
    "--numeric-owner",
  ];
  const compressed = /\.t?gz$/.test(output) ? ["--use-compress-program=gzip -n"] : [];
  const entries = [...Deno.readDirSync(directory)].map(({ name }) => name).toSorted();
  const place = ["--create", `--file=${output}`, `--directory=${directory}`];
  await succeed("tar", [...place, ...neutral, ...compressed, "--", ...entries]);
}

/** Uses a directory that is removed afterwards. */
export async function inTemporaryDirectory<Result>(
  use: (directory: string) => Promise<Result>,
): Promise<Result> {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-release-" });
  Deno.chmodSync(directory, 0o755);
  try {
    return await use(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}
