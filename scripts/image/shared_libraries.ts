/** The shared libraries that a program needs, as the loader of this machine finds them. */

/** @returns absolute paths, the loader included; none for a static program. */
export function librariesOf(program: string): string[] {
  const { stdout } = new Deno.Command("ldd", {
    args: [program],
    stderr: "null",
    env: { LC_ALL: "C" },
  }).outputSync();
  const lines = new TextDecoder().decode(stdout).split("\n");
  return lines.flatMap((line) => line.match(/(?:=> )?(\/\S+) \(0x/)?.[1] ?? []);
}
