/** deploy/install.sh against a server on this machine. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { checksums } from "../../scripts/release/release.ts";
import { type Directory, makeDirectory } from "../helpers/directory.ts";
import { filesIn, here, result } from "../helpers/release_build.ts";

const installer = fileURLToPath(new URL("../../deploy/install.sh", import.meta.url));
const name = `oomkit-linux-${here.machine}`;
const program = "#!/bin/sh\necho oomkit 1.2.3\n";

/** Serves what is in `files` at the time of the request. */
function serve(files: Record<string, string>) {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, ({ url }) => {
    const text = files[new URL(url).pathname.replace("/v1/", "")];
    return text === undefined ? new Response(null, { status: 404 }) : new Response(text);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/v1`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** The files of a release with that executable. */
function releaseWith(text: string): Record<string, string> {
  using directory = makeDirectory();
  directory.write(name, text);
  return { [name]: text, SHA256SUMS: checksums(directory.path) };
}

async function install({ path }: Directory, url: string, ...options: string[]) {
  const env = { TMPDIR: path };
  const ran = await result("sh", [installer, "--dir", `${path}/bin`, ...options, url], { env });
  return { ...ran, installed: filesIn(path) };
}

Deno.test("install.sh installs the executable and runs it", async () => {
  await using server = serve(releaseWith(program));
  using directory = makeDirectory();
  const { code, said, installed } = await install(directory, `${server.url}/`);
  assert.deepEqual([code, said], [0, "oomkit 1.2.3\n"]);
  assert.deepEqual(installed, ["bin/oomkit"]);
});

Deno.test("install.sh replaces an installed executable", async () => {
  await using server = serve(releaseWith(program));
  using directory = makeDirectory();
  Deno.mkdirSync(`${directory.path}/bin`);
  directory.write("bin/oomkit", "old");
  const { code, installed } = await install(directory, server.url);
  assert.deepEqual([code, installed], [0, ["bin/oomkit"]]);
  assert.equal(Deno.readTextFileSync(`${directory.path}/bin/oomkit`), program);
});

Deno.test("install.sh installs nothing when the checksum is another one", async () => {
  const files = { ...releaseWith(program), [name]: `${program}\n` };
  await using server = serve(files);
  using directory = makeDirectory();
  const { code, said, installed } = await install(directory, server.url);
  assert.equal(code, 1);
  assert.match(
    said,
    /^install\.sh: the checksum of \S+ is [0-9a-f]{64}, not [0-9a-f]{64}: nothing/,
  );
  assert.deepEqual(installed, []);
});

Deno.test("install.sh compares with a given digest, whatever SHA256SUMS says", async () => {
  const good = releaseWith(program);
  const digest = good.SHA256SUMS!.split(" ")[0]!;
  const files = { ...good };
  await using server = serve(files);
  using directory = makeDirectory();
  const { code } = await install(directory, server.url, "--sha256", digest);
  assert.equal(code, 0);
  Object.assign(files, releaseWith("#!/bin/sh\necho another\n"));
  using other = makeDirectory();
  const refused = await install(other, server.url, "--sha256", digest);
  assert.deepEqual([refused.code, refused.installed], [1, []]);
});

Deno.test("install.sh reports a file that is not there, and a mistake in its arguments", async () => {
  await using server = serve({ SHA256SUMS: "" });
  using directory = makeDirectory();
  assert.match(
    (await install(directory, server.url)).said,
    /SHA256SUMS of \S+ has no oomkit-linux/,
  );
  assert.match(
    (await install(directory, `${server.url}/x`)).said,
    /cannot download \S+SHA256SUMS$/m,
  );
  assert.match((await install(directory, server.url, "--force")).said, /unknown option --force/);
  const { code, said } = await result("sh", [installer]);
  assert.equal(code, 1);
  assert.match(said, /the URL of a release is missing/);
});
