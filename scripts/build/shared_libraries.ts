/** The shared libraries that a program needs, as the loader of this machine finds them. */

/** What ldd(1) asks as well; a small system has no ldd, which is a script for bash. */
const LOADERS = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];

/** @returns absolute paths, the loader included; none for a static program. */
export function librariesOf(program: string): string[] {
  const loader = LOADERS.find(isFile);
  if (loader === undefined) throw new Error(`cannot ask what ${program} needs: there is no loader`);
  const ask = (what: string) =>
    new Deno.Command(loader, { args: [what, program], stderr: "null", env: { LC_ALL: "C" } })
      .outputSync();
  // It would crash of a static program if it were not asked this first.
  if (ask("--verify").code === 1) return [];
  const lines = new TextDecoder().decode(ask("--list").stdout).split("\n");
  return lines.flatMap((line) => line.match(/(?:=> )?(\/\S+) \(0x/)?.[1] ?? []);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
