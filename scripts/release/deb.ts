/** The Debian package: executable, unit, man page, completions, default configuration. */

import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { outputOf, root, succeed } from "../command.ts";
import { Mistake } from "../terminal.ts";

import { type Files, inTemporaryDirectory, writeFiles } from "./archive.ts";
import type { Build } from "./source.ts";

const MAINTAINER = "the oomkit maintainers <oomkit@localhost>";

/** The newest symbols of the runtime base are of glibc 2.27. */
const DEPENDS = "libc6 (>= 2.27), libgcc-s1 | libgcc1";

/** The paths of the completions by shell. */
const COMPLETIONS = {
  bash: "usr/share/bash-completion/completions/oomkit",
  zsh: "usr/share/zsh/vendor-completions/_oomkit",
  fish: "usr/share/fish/vendor_completions.d/oomkit.fish",
};

const copied = (path: string) => ({ copyOf: join(root, path) });
const compressed = (text: string) => gzipSync(text, { level: 9 });

/** @returns the name of the file, in `directory`. */
export async function makeDeb(build: Build, directory: string): Promise<string> {
  const name = `oomkit_${build.version}_${build.architecture.debian}.deb`;
  const files = await contents(build);
  await inTemporaryDirectory(async (tree) => {
    writeFiles(tree, files);
    writeFiles(join(tree, "DEBIAN"), controlFiles(build, files));
    // xz at its lowest level takes as long as gzip, for a fifth less.
    const options = ["--root-owner-group", "-Zxz", "-z1", "--build"];
    await succeed("dpkg-deb", [...options, tree, join(directory, name)], {
      env: { SOURCE_DATE_EPOCH: String(build.time) },
    });
  });
  return name;
}

async function contents(build: Build): Promise<Files> {
  return {
    "usr/bin/oomkit": { content: { copyOf: build.executable }, mode: 0o755 },
    "lib/systemd/system/oomkit-guard.service": {
      content: copied("deploy/systemd/oomkit-guard.service"),
    },
    "lib/systemd/system/oomkit.slice": { content: copied("deploy/systemd/oomkit.slice") },
    "etc/oomkit/config.toml": { content: copied("deploy/systemd/config.toml") },
    "usr/share/man/man1/oomkit.1.gz": {
      content: compressed(Deno.readTextFileSync(join(root, "docs/man/oomkit.1"))),
    },
    // Begins with the licence of oomkit itself.
    "usr/share/doc/oomkit/copyright": { content: copyrightText() },
    "usr/share/doc/oomkit/changelog.gz": { content: compressed(changelog(build)) },
    "usr/share/lintian/overrides/oomkit": { content: copied("deploy/deb/lintian-overrides") },
    ...await completions(),
  };
}

const APACHE = /^ *Apache License\n +Version 2\.0,[^]*?^ *limitations under the License\.$/m;

/** Debian Policy, 12.5: a licence that every system has is referred to, and its text is not repeated. */
function copyrightText(): string {
  const notices = Deno.readTextFileSync(join(root, "THIRD_PARTY_NOTICES"));
  return notices.replace(
    APACHE,
    "On Debian systems the text of the Apache License, Version 2.0, is in\n/usr/share/common-licenses/Apache-2.0.",
  );
}

/** From the sources: the executable may be for another machine. */
async function completions(): Promise<Files> {
  const scripts = Object.entries(COMPLETIONS).map(async ([shell, path]) => {
    const { code, stdout, stderr } = await outputOf(Deno.execPath(), [
      ...["run", "-A", "--quiet", "--no-check", "cli/main.ts", "completions", shell],
    ], { env: { OOMKIT_CALLED_AS: "oomkit" } });
    if (code !== 0) throw new Mistake(`cannot make the completions for ${shell}: ${stderr}`);
    return [path, { content: stdout }] as const;
  });
  return Object.fromEntries(await Promise.all(scripts));
}

/** Of the package, as Debian's policy requires one; oomkit's own is CHANGELOG.md. */
function changelog({ version, commit, time }: Build): string {
  const date = new Date(time * 1000).toUTCString().replace("GMT", "+0000");
  const entry = `Commit ${commit.slice(0, 12)}; the changes are in its CHANGELOG.md.`;
  return `oomkit (${version}) unstable; urgency=medium\n\n  * ${entry}\n\n -- ${MAINTAINER}  ${date}\n`;
}

function controlFiles(build: Build, files: Files): Files {
  const scripts = ["postinst", "prerm", "postrm"];
  return {
    control: { content: control(build, files) },
    // dpkg keeps what the administrator has changed in it.
    conffiles: { content: "/etc/oomkit/config.toml\n" },
    ...Object.fromEntries(scripts.map((name) => [
      name,
      { content: copied(`deploy/deb/${name}`), mode: 0o755 },
    ])),
  };
}

function control({ version, architecture }: Build, files: Files): string {
  const sizes = Object.values(files).map(({ content }) =>
    typeof content === "object" && "copyOf" in content
      ? Deno.statSync(content.copyOf).size
      : content.length
  );
  const kilobytes = Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / 1024);
  return `Package: oomkit
Version: ${version}
Architecture: ${architecture.debian}
Maintainer: ${MAINTAINER}
Installed-Size: ${kilobytes}
Depends: ${DEPENDS}
Section: admin
Priority: optional
Description: ${synopsis}
 oomkit shows the limit of a memory cgroup that counts and the headroom below
 it, reports OOM kills and their victims as the kernel reports them, can kill
 or signal before the kernel's OOM killer does, and can cause an OOM for tests.
 .
 The service oomkit-guard is neither enabled nor started by this package. Its
 default configuration emits events and kills nothing.
`;
}

/** Debian's policy: one line of less than 80 characters without an article at its begin. */
const synopsis = "memory cgroup limits: inspect, watch and guard them, simulate OOMs";
