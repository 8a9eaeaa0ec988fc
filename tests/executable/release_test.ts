/** The executable that OOMKIT_BIN names, installed from each package into a temporary directory. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { VERSION } from "../../cli/version.ts";
import { architectures } from "../../scripts/release/architectures.ts";
import { makeDeb } from "../../scripts/release/deb.ts";
import { debianFiles } from "../../scripts/release/debian_files.ts";
import { makeImage } from "../../scripts/release/image.ts";
import { makeNpmPackages } from "../../scripts/release/npm.ts";
import { findProgram } from "../../scripts/guest_kernel/image.ts";
import { type Directory, makeDirectory } from "../helpers/directory.ts";
import { filesIn, here, ran, result, scriptBuild, SOURCE } from "../helpers/release_build.ts";
import { makeTree } from "../helpers/trees.ts";

const program = Deno.env.get("OOMKIT_BIN");

/** Where a program is missing, the name of the test says so. */
function executableTest(
  name: string,
  needed: readonly string[],
  fn: (program: string, directory: Directory) => Promise<void>,
): void {
  if (program === undefined) return;
  const missing = needed.find((each) => findProgram(each) === undefined);
  Deno.test({
    name: missing === undefined ? name : `${name}: ${missing} is not installed`,
    ignore: missing !== undefined,
    async fn() {
      using directory = makeDirectory();
      await fn(program, directory);
    },
  });
}

/** The commands of docs/install.md below that heading. */
function documented(heading: string): string[] {
  const text = Deno.readTextFileSync(new URL("../../docs/install.md", import.meta.url));
  const block = new RegExp(`^## ${heading}.*\n\n\`\`\`sh\n([^]*?)\n\`\`\``, "m").exec(text)![1]!;
  return block.split("\n");
}

/** For dpkg(1): Debian's libraries, and programs of systemd that write down how they are called. */
function makeDebianSystem({ path }: Directory): string {
  const root = `${path}/system`;
  const busybox = findProgram("busybox")!;
  for (
    const dir of ["bin", "dev", "run/systemd/system", "var/lib/dpkg/info", "var/lib/dpkg/updates"]
  ) {
    Deno.mkdirSync(join(root, dir), { recursive: true });
  }
  Deno.copyFileSync(busybox, `${root}/bin/busybox`);
  for (const name of ["sh", "rm"]) Deno.symlinkSync("busybox", `${root}/bin/${name}`);
  for (const name of ["systemctl", "deb-systemd-invoke", "deb-systemd-helper"]) {
    const script = `#!/bin/sh\necho "${name} $*" >> /calls\n`;
    Deno.writeTextFileSync(`${root}/bin/${name}`, script, { mode: 0o755 });
  }
  // A file is as good as the device here.
  Deno.writeTextFileSync(`${root}/dev/null`, "");
  const installed = ["libc6", "libgcc-s1"].map((name) =>
    `Package: ${name}\nStatus: install ok installed\nMaintainer: a <a@b.c>\nArchitecture: ${here.debian}\n` +
    "Version: 99\nDescription: a library\n"
  );
  Deno.writeTextFileSync(`${root}/var/lib/dpkg/status`, installed.join("\n"));
  return root;
}

/** @returns what the maintainer scripts have called, except updates of systemd's and the helper's own state. */
function serviceCalls(root: string): string[] {
  const calls = Deno.readTextFileSync(`${root}/calls`).trim().split("\n");
  Deno.removeSync(`${root}/calls`);
  return calls.filter((line) => line.startsWith("deb-systemd-invoke") || / purge /.test(line));
}

executableTest(
  "the Debian package passes lintian, is installed, upgraded with its configuration kept, and purged",
  ["lintian", "dpkg", "dpkg-deb", "busybox", "chroot"],
  async (program, directory) => {
    const first = { ...scriptBuild(directory, ""), executable: program };
    const second = scriptBuild(directory, "echo next", {
      source: { ...SOURCE, version: "1.2.4" },
    });
    const root = makeDebianSystem(directory);
    const before = filesIn(root);
    const dpkg = (...args: string[]) => ran("dpkg", `--root=${root}`, "--force-not-root", ...args);

    const firstPackage = join(directory.path, await makeDeb(first, directory.path));
    assert.deepEqual(await result("lintian", ["--allow-root", firstPackage]), {
      code: 0,
      said: "",
    });
    await dpkg("--install", firstPackage);
    assert.match(
      await ran(`${root}/usr/bin/oomkit`, "--version"),
      new RegExp(`^oomkit ${VERSION} `),
    );
    assert.deepEqual(serviceCalls(root), [], "nothing is started");
    const [bash, unit, config] = [
      "usr/share/bash-completion/completions/oomkit",
      "lib/systemd/system/oomkit-guard.service",
      "etc/oomkit/config.toml",
    ];
    await ran("bash", "-n", `${root}/${bash}`);
    assert.match(Deno.readTextFileSync(`${root}/${unit}`), /^ExecStart=\/usr\/bin\/oomkit guard/m);
    await ran(
      `${root}/usr/bin/oomkit`,
      ...["guard", "--check-config", "--config", `${root}/${config}`],
    );

    const [, configure] = documented("Debian package");
    await ran("sh", "-c", configure!.replace("/etc/oomkit/", `${root}/etc/oomkit/`));
    using tree = makeTree(2, {
      "/system.slice": {},
      "/system.slice/my.service": { "memory.max": 2 ** 26 },
    });
    const shown = await ran(
      `${root}/usr/bin/oomkit`,
      ...[
        "guard",
        "--check-config",
        "--dry-run",
        "--root",
        tree.dir,
        "--config",
        `${root}/${config}`,
      ],
    );
    assert.match(shown, /\/system\.slice\/my\.service/);

    Deno.writeTextFileSync(`${root}/${config}`, "# mine\n");
    await dpkg("--install", join(directory.path, await makeDeb(second, directory.path)));
    assert.equal(await ran(`${root}/usr/bin/oomkit`), "next\n");
    assert.equal(Deno.readTextFileSync(`${root}/${config}`), "# mine\n");
    assert.deepEqual(serviceCalls(root), ["deb-systemd-invoke try-restart oomkit-guard.service"]);

    await dpkg("--remove", "oomkit");
    assert.deepEqual(serviceCalls(root), ["deb-systemd-invoke stop oomkit-guard.service"]);
    assert.equal(Deno.readTextFileSync(`${root}/${config}`), "# mine\n");
    Deno.mkdirSync(`${root}/var/log/oomkit`, { recursive: true });
    Deno.writeTextFileSync(`${root}/var/log/oomkit/guard.log`, "");
    await dpkg("--purge", "oomkit");
    assert.deepEqual(serviceCalls(root), ["deb-systemd-helper purge oomkit-guard.service"]);
    const ofDpkg = /^var\/(lib|log)\/dpkg/;
    assert.deepEqual(
      filesIn(root).filter((path) => !ofDpkg.test(path)),
      before.filter((path) => !ofDpkg.test(path)),
    );
  },
);

executableTest(
  "npx runs the executable of the npm packages, which are installed from their tarballs",
  ["npm", "npx"],
  async (program, directory) => {
    const build = { ...scriptBuild(directory, ""), executable: program };
    const other = architectures.find((each) => each !== here)!;
    const foreign = scriptBuild(directory, "exit 1", { architecture: other });
    // npm would also ask its registry for the other one, which is optional.
    const names = (await makeNpmPackages(SOURCE, [build, foreign], directory.path))
      .filter((name) => !name.includes(other.node));
    const cwd = `${directory.path}/project`;
    Deno.mkdirSync(cwd);
    const env = {
      npm_config_cache: `${directory.path}/cache`,
      npm_config_update_notifier: "false",
    };
    const tarballs = names.map((name) => join(directory.path, name));
    const flags = ["--offline", "--no-audit", "--no-fund"];
    const installed = await result("npm", ["install", ...flags, ...tarballs], { cwd, env });
    assert.equal(installed.code, 0, installed.said);
    const npx = (...args: string[]) =>
      result("npx", ["--no-install", "oomkit", ...args], { cwd, env });
    assert.equal((await npx("--version")).said, await ran(program, "--version"));
    assert.equal((await npx("inspect", "/no/such/cgroup")).code, 2);

    const [globally] = documented("npm");
    const prefix = { ...env, npm_config_prefix: `${directory.path}/prefix` };
    const command = globally!.replace("linux-x64", `linux-${here.node}`);
    const global = await result("sh", ["-c", command], { cwd: directory.path, env: prefix });
    assert.equal(global.code, 0, global.said);
    const installedProgram = `${directory.path}/prefix/bin/oomkit`;
    assert.equal(await ran(installedProgram, "--version"), await ran(program, "--version"));
  },
);

const arm64 = "the arm64 executable runs in an emulator: version, licences, a view of a cgroup";

executableTest(arm64, ["qemu-aarch64-static", "apt-get", "npm"], async (program, directory) => {
  const executable = `${directory.path}/root/oomkit`;
  const { libraries } = await debianFiles({ debian: "arm64", machine: "aarch64" });
  for (const [path, from] of Object.entries(libraries)) {
    const to = join(directory.path, "root", path);
    Deno.mkdirSync(join(to, ".."), { recursive: true });
    Deno.copyFileSync(from, to);
  }
  const version = await ran(program, "--version");
  const base = version.includes("runtime base from npm") ? "npm" : "official";
  await ran(Deno.execPath(), "run", "-A", "--quiet", "--no-check", "scripts/build/compile.ts", ...[
    "--target=aarch64-unknown-linux-gnu",
    `--denort=${base}`,
    `--output=${executable}`,
  ]);
  const emulated = (...args: string[]) =>
    ran("qemu-aarch64-static", "-L", `${directory.path}/root`, executable, ...args);
  // The executable under test may be of another commit.
  const [, commit] = /\((\S+),/.exec(version)!;
  const shown = (await emulated("--version")).replace(/\(\S+,/, `(${commit},`);
  assert.equal(shown, version.replace("x86_64", "aarch64"));
  assert.match(await emulated("--licenses"), /^oomkit is MIT licensed/);
  using tree = makeTree(2, { "/a": { "memory.max": 64 * 2 ** 20 } });
  assert.match(await emulated("inspect", "--root", tree.dir, "/a"), /limit .*64(\.0)? MiB/);
});

executableTest(
  "runc runs the container image as the user of its configuration, with Debian's libraries",
  ["runc", "apt-get", "tar"],
  async (program, directory) => {
    const build = {
      ...SOURCE,
      architecture: here,
      executable: program,
      debian: await debianFiles(here),
    };
    const layout = `${directory.path}/layout`;
    Deno.mkdirSync(`${directory.path}/rootfs`);
    Deno.mkdirSync(layout);
    const image = await makeImage(SOURCE, [build], directory.path);
    await ran("tar", "-xf", join(directory.path, image), "-C", layout);
    const blob = ({ digest }: { digest: string }) =>
      join(layout, "blobs", digest.replace(":", "/"));
    const json = (path: string) => JSON.parse(Deno.readTextFileSync(path));
    const { manifests: [index] } = json(`${layout}/index.json`);
    const { manifests: [manifest] } = json(blob(index));
    const { config, layers: [layer] } = json(blob(manifest));
    await ran("tar", "-xf", blob(layer), "-C", `${directory.path}/rootfs`);
    const { Entrypoint, Env, User } = json(blob(config)).config;
    const [uid, gid] = User.split(":").map(Number);
    const name = `oomkit-test-oci-${Deno.pid}`;
    directory.write(
      "config.json",
      JSON.stringify({
        ociVersion: "1.0.2",
        root: { path: "rootfs", readonly: true },
        process: {
          args: [...Entrypoint, "--version"],
          cwd: "/",
          env: Env,
          user: { uid, gid },
          noNewPrivileges: true,
        },
        mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
        linux: { cgroupsPath: name, namespaces: ["pid", "mount"].map((type) => ({ type })) },
      }),
    );
    try {
      const said = await ran("runc", "run", "--no-pivot", "--bundle", directory.path, name);
      assert.equal(said, await ran(program, "--version"));
    } finally {
      await result("runc", ["delete", "--force", name]);
    }
  },
);
