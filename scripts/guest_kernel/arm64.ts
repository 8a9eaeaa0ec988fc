/** What an arm64 guest has in the place of this machine's programs. */

import { hash } from "node:crypto";
import { join } from "node:path";
import { root, succeed } from "../command.ts";
import { fetchTarball } from "../build/npm_package.ts";
import { isThere } from "../files.ts";
import { cache, debianFiles, unpackPackages } from "../release/debian_files.ts";
import type { Userland } from "./image.ts";

/** The newest that npm has for both architectures; the tests run with it as well. */
const DENO = {
  requested: "@deno/linux-arm64-glibc@2.9.6",
  sha512:
    "poqhoH9B3nYloigEMPT5t8HY+wBeiuea1An5Q7fqgJzP0SYmWsoS/oUnWO/pEiA4ofzIBy1Elt/in58xKtxEoQ==",
};

/** For setpriv, with its library. */
const PACKAGES = ["util-linux", "libcap-ng0"];

/** @throws Mistake where Debian's packages cannot be had. */
export async function arm64Userland(): Promise<Userland> {
  const { libraries, shell } = await debianFiles({ debian: "arm64", machine: "aarch64" });
  const unpacked = join(cache, "guest-arm64");
  if (!isThere(unpacked)) await unpackPackages(unpacked, "arm64", PACKAGES);
  const capabilities = "/lib/aarch64-linux-gnu/libcap-ng.so.0";
  return {
    busybox: shell,
    libraries: { ...libraries, [capabilities]: join(unpacked, capabilities) },
    programs: { "/bin/setpriv": join(unpacked, "usr/bin/setpriv") },
  };
}

/** Kept in dist/deno-arm64 by the digest of its package. @throws Mistake where it cannot be had. */
export async function arm64Deno(): Promise<string> {
  const name = hash("sha256", DENO.sha512).slice(0, 16);
  const program = join(root, "dist/deno-arm64", name);
  if (isThere(program)) return program;
  Deno.mkdirSync(join(program, ".."), { recursive: true });
  const directory = Deno.makeTempDirSync({ dir: join(program, "..") });
  try {
    const tarball = await fetchTarball(DENO, directory);
    await succeed("tar", ["-xzf", tarball, "package/deno"], { cwd: directory });
    Deno.renameSync(join(directory, "package/deno"), program);
    return program;
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}
