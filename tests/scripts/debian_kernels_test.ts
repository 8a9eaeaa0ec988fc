import assert from "node:assert/strict";
import { aptConfiguration, aptError, mirrorIn, sourcesList } from "../../scripts/debian.ts";
import {
  isKernelRelease,
  isOfRelease,
  kernelPackageIn,
} from "../../scripts/guest_kernel/debian_kernels.ts";
import { findProgram } from "../../scripts/guest_kernel/image.ts";

Deno.test("the mirror is the one of Debian's main archive, and of its security updates", () => {
  const targets = [
    "Translations http://a.test/debian bookworm main Debian",
    "Packages http://tools.test/apt bookworm main Tools",
    "Packages http://a.test/debian bookworm contrib Debian",
    "Packages http://b.test/debian bookworm-backports main Debian",
    "Packages http://a.test/debian bookworm main Debian",
    "Packages http://a.test/debian bookworm-updates main Debian",
    "Packages http://s.test/security bookworm-security main Debian",
    "Packages http://c.test/debian trixie main Debian",
    "",
  ];
  const mirror = mirrorIn(targets.join("\n"));
  assert.deepEqual(mirror, { "": "http://a.test/debian", "-security": "http://s.test/security" });
  assert.deepEqual(mirrorIn(""), {});
});

Deno.test("before apt's first update, which tells the origin, the mirror is known by its path", () => {
  const targets = [
    "Packages http://tools.test/apt stable main $(ORIGIN)",
    "Packages http://a.test/debian bookworm main $(ORIGIN)",
    "Packages http://a.test/debian-security bookworm-security main $(ORIGIN)",
  ];
  assert.deepEqual(mirrorIn(targets.join("\n")), {
    "": "http://a.test/debian",
    "-security": "http://a.test/debian-security",
  });
});

Deno.test("the sources of a release are its suites on the same mirror", () => {
  const text = sourcesList(
    { "": "http://a.test/debian", "-security": "http://s.test/s" },
    "trixie",
  );
  assert.match(
    text,
    /^deb \[arch=amd64\S*( signed-by=\S+)?\] http:\/\/a\.test\/debian trixie main\ndeb .*\] http:\/\/s\.test\/s trixie-security main\n$/,
  );
  assert.doesNotMatch(text, /trusted|allow-insecure/);
});

const noApt = findProgram("apt-config") === undefined;

Deno.test("apt keeps all below one directory, and requires signatures", { ignore: noApt }, () => {
  const directory = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${directory}/apt.conf`, aptConfiguration(directory));
    // As a machine's own settings could be: they must not weaken these.
    const weak =
      'Acquire::AllowInsecureRepositories "true"; APT::Update::Post-Invoke { "false"; };';
    Deno.writeTextFileSync(`${directory}/machine.conf`, weak);
    const { stdout } = new Deno.Command("apt-config", {
      args: [`--config-file=${directory}/apt.conf`, "dump"],
      env: { APT_CONFIG: `${directory}/machine.conf` },
    }).outputSync();
    const settings = new TextDecoder().decode(stdout);
    for (
      const setting of [
        `Dir::State "${directory}";`,
        `Dir::Cache "${directory}";`,
        `Dir::Etc::sourcelist "${directory}/sources.list";`,
        'Dir::Etc::sourceparts "/dev/null";',
        'Acquire::AllowInsecureRepositories "false";',
        'APT::Get::AllowUnauthenticated "false";',
      ]
    ) assert.ok(settings.split("\n").includes(setting), setting);
    assert.deepEqual(settings.match(/^APT::Update::\S*Invoke\S*:: .*$/gm), null);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("the package of the kernel is what the meta package depends on", () => {
  const shown = (depends: string) => `Package: linux-image-cloud-amd64\nDepends: ${depends}\n`;
  const name = "linux-image-6.12.118+deb13-cloud-amd64";
  assert.equal(kernelPackageIn(shown(`${name} (= 6.12.118-1)`)), name);
  assert.equal(
    kernelPackageIn(shown("kmod, linux-image-5.10.0-46-cloud-amd64 (= 5.10.262-1)")),
    "linux-image-5.10.0-46-cloud-amd64",
  );
  const other = "linux-image-6.1.0-57-cloud-arm64";
  assert.equal(kernelPackageIn(shown(`${other} (= 6.1.192-3)`), "arm64"), other);
  assert.equal(kernelPackageIn(shown(`${other} (= 6.1.192-3)`)), undefined);
  assert.equal(kernelPackageIn(shown("linux-image-cloud-amd64-dbg")), undefined);
  assert.equal(kernelPackageIn(""), undefined);
});

Deno.test("what apt says about a failure is its first error, or else its first warning", () => {
  const warning = "W: Failed to fetch http://a.test/debian/dists/x/InRelease";
  const error = "E: The repository 'http://a.test/debian x Release' is not signed.";
  assert.equal(aptError(`N: note\n${warning}\n${error}\nE: other\n`), error);
  assert.equal(aptError(`N: note\n${warning}\n`), warning);
  assert.equal(aptError(""), undefined);
});

Deno.test("a version belongs to the release with the same first two numbers", () => {
  assert.ok(isOfRelease("6.1.0-56-cloud-amd64", "6.1"));
  assert.ok(!isOfRelease("6.12.118+deb13-cloud-amd64", "6.1"));
  assert.ok(isOfRelease("6.12.118+deb13-cloud-amd64", "6.12"));
  assert.ok(isKernelRelease("5.10"));
  assert.ok(!isKernelRelease("toString"));
  assert.ok(!isKernelRelease("/boot/vmlinuz"));
});
