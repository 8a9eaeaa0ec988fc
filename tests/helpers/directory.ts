/** A temporary directory, removed at the end of the test. */

export interface Directory extends Disposable {
  readonly path: string;
  /** @returns the path. */
  write(name: string, text: string, mode?: number): string;
}

export function makeDirectory(): Directory {
  const path = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  return {
    path,
    write(name, text, mode) {
      Deno.writeTextFileSync(`${path}/${name}`, text, mode === undefined ? {} : { mode });
      return `${path}/${name}`;
    },
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}
