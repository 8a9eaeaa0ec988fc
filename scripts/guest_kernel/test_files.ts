import { join } from "node:path";

/** @returns the paths of all test files of a folder and of those below it, sorted; none where it does not exist. */
export function testFiles(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
      const path = join(folder, name);
      if (isDirectory) return testFiles(path);
      return name.endsWith("_test.ts") ? [path] : [];
    }).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
