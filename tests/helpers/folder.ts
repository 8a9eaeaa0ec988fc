/** A folder that goes with the test. */

export interface Folder extends Disposable {
  readonly path: string;
  /** @returns the path. */
  write(name: string, text: string): string;
}

export function makeFolder(): Folder {
  const path = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  return {
    path,
    write(name, text) {
      Deno.writeTextFileSync(`${path}/${name}`, text);
      return `${path}/${name}`;
    },
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}
