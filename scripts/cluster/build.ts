/**
 * kube-apiserver and etcd. No server can be had as a program, so kube-apiserver is built from Debian's source package with Debian's
 * Go: minutes, once, kept in `dist/cluster`.
 */

import { join } from "node:path";
import { outputOf, root, succeed } from "../command.ts";
import { aptError, NO_MIRROR, privateApt } from "../debian.ts";
import { isThere, removeIfThere } from "../files.ts";
import { Mistake, note } from "../terminal.ts";

const CODENAME = "bookworm";
const DIRECTORY = join(root, "dist/cluster");
const APT = join(DIRECTORY, "apt");
const UNPACKED = join(DIRECTORY, "root");
const GO_ROOT = join(UNPACKED, "usr/lib/go-1.19");
const GO_PATH = join(DIRECTORY, "gopath");
const GO_CACHE = join(DIRECTORY, "gocache");
const SOURCE = join(GO_PATH, "src/k8s.io/kubernetes");

/** The vendored release of this module does not work with Go 1.18 and newer: it segfaults. */
const REFLECT = "github.com/modern-go/reflect2";

const PACKAGES = [
  "golang-1.19-go",
  "golang-1.19-src",
  "golang-github-modern-go-reflect2-dev",
  "etcd-server",
];

export interface ClusterPrograms {
  readonly apiServer: string;
  readonly etcd: string;
}

/** @throws Mistake where a package cannot be had or the build fails. */
export async function clusterPrograms(): Promise<ClusterPrograms> {
  const apiServer = join(DIRECTORY, "kube-apiserver");
  const etcd = join(UNPACKED, "usr/bin/etcd");
  if (isThere(apiServer) && isThere(etcd)) return { apiServer, etcd };
  note("cluster: building kube-apiserver from Debian's source package, which takes minutes");
  await download();
  await buildApiServer(apiServer);
  // 1 GiB that only another build would need.
  for (const made of [GO_PATH, GO_CACHE, APT]) removeIfThere(made);
  return { apiServer, etcd };
}

/** Unpacks the packages, and the source where Go looks for it. */
async function download(): Promise<void> {
  for (const made of [UNPACKED, GO_PATH]) removeIfThere(made);
  Deno.mkdirSync(APT, { recursive: true });
  const { own, update } = await privateApt({ codename: CODENAME, directory: APT });
  if (update === undefined) throw new Mistake(`cannot build kube-apiserver: ${NO_MIRROR}`);
  const list = join(APT, "sources.list");
  const binary = Deno.readTextFileSync(list);
  const source = binary.replaceAll(/^deb \[arch=\w+ ?/gm, "deb-src [").replaceAll("[] ", "");
  Deno.writeTextFileSync(list, binary + source);
  for (
    const args of [
      ["update"],
      ["download", ...PACKAGES],
      ["source", "--download-only", "kubernetes"],
    ]
  ) {
    const { code, stderr } = await own("apt-get", ...args);
    if (code !== 0) throw new Mistake(`cannot get Debian's packages: ${aptError(stderr)}`);
  }
  const files = [...Deno.readDirSync(APT)].map(({ name }) => join(APT, name));
  for (const file of files.filter((each) => each.endsWith(".deb"))) {
    await succeed("dpkg-deb", ["-x", file, UNPACKED]);
  }
  Deno.mkdirSync(join(GO_PATH, "src/k8s.io"), { recursive: true });
  // apt has verified the signature.
  const description = files.find((each) => each.endsWith(".dsc"))!;
  await succeed("dpkg-source", ["--no-check", "-x", description, SOURCE]);
  const module = join(SOURCE, "vendor", REFLECT);
  Deno.removeSync(module, { recursive: true });
  await succeed("cp", ["-r", join(UNPACKED, "usr/share/gocode/src", REFLECT), module]);
  for (const { name } of [...Deno.readDirSync(module)]) {
    if (name.endsWith("_test.go")) Deno.removeSync(join(module, name));
  }
}

async function buildApiServer(program: string): Promise<void> {
  const generator = join(DIRECTORY, "openapi-gen");
  await go("-o", generator, "./vendor/k8s.io/kube-openapi/cmd/openapi-gen");
  const generated = [
    ...["-O", "zz_generated.openapi", "-p", "k8s.io/kubernetes/pkg/generated/openapi"],
    ...["-h", "vendor/k8s.io/code-generator/hack/boilerplate.go.txt"],
    ...["-i", (await describedPackages()).join(), "-r", join(DIRECTORY, "violations.report")],
  ];
  await succeed("nice", [generator, ...generated], { cwd: SOURCE, env: environment });
  const flags = ["-tags", "providerless", "-ldflags", await versionFlags()];
  await go(...flags, "-o", program, "./cmd/kube-apiserver");
}

/** Helm reads the version. */
async function versionFlags(): Promise<string> {
  const changelog = ["-l", join(SOURCE, "debian/changelog"), "--show-field", "Version"];
  const { stdout } = await outputOf("dpkg-parsechangelog", changelog);
  // Such as 1.20.5+really1.20.2-1.1: what it is stands last.
  const [version, major, minor] = stdout.match(/(?<=really|^)(\d+)\.(\d+)\.\d+(?=-|$)/m)!;
  const values = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor };
  const packages = ["component-base/version", "client-go/pkg/version"];
  return packages.flatMap((each) =>
    Object.entries(values).map(([name, value]) =>
      `-X k8s.io/kubernetes/vendor/k8s.io/${each}.${name}=${value}`
    )
  ).join(" ");
}

const environment = {
  GOROOT: GO_ROOT,
  GOPATH: GO_PATH,
  GOCACHE: GO_CACHE,
  GO111MODULE: "off",
  CGO_ENABLED: "0",
};

/** At low priority. */
const go = (...args: string[]) =>
  succeed("nice", [join(GO_ROOT, "bin/go"), "build", ...args], { cwd: SOURCE, env: environment });

/** As Makefile.generated_files chooses them. */
async function describedPackages(): Promise<string[]> {
  const { stdout } = await outputOf(
    "grep",
    ["-rl", "--include=*.go", "+k8s:openapi-gen=", "pkg", "staging/src/k8s.io"],
    { cwd: SOURCE },
  );
  const others = /zz_generated|code-generator|sample-apiserver|_examples|test/;
  const directories = stdout.trim().split("\n").filter((file) => !others.test(file))
    .map((file) => file.slice(0, file.lastIndexOf("/")))
    .map((directory) =>
      `k8s.io/kubernetes/${directory.replace("staging/src/k8s.io", "vendor/k8s.io")}`
    );
  return [...new Set(directories)].sort();
}
