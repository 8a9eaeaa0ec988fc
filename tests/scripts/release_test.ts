/** The artifacts of a release, made of stand-ins for the executables. */

import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { architectures } from "../../scripts/release/architectures.ts";
import { makeImage } from "../../scripts/release/image.ts";
import { makeRelease, type Release } from "../../scripts/release/release.ts";
import { sbomText } from "../../scripts/release/sbom.ts";
import { findProgram } from "../../scripts/guest_kernel/image.ts";
import { makeDirectory } from "../helpers/directory.ts";
import { filesIn, ran, scriptBuild, SOURCE } from "../helpers/release_build.ts";

function releaseIn(directory: ReturnType<typeof makeDirectory>): Release {
  const builds = architectures.map((architecture) =>
    scriptBuild(directory, `echo ${architecture.machine}`, { architecture })
  );
  return { source: SOURCE, builds, deno: "2.7.11", base: "npm" };
}

Deno.test({
  name: "two releases of a commit have the same bytes, whatever the umask and the time are",
  ignore: findProgram("dpkg-deb") === undefined,
  async fn() {
    using directory = makeDirectory();
    const release = releaseIn(directory);
    const make = (name: string) => {
      Deno.mkdirSync(`${directory.path}/${name}`);
      return makeRelease(release, `${directory.path}/${name}`);
    };
    const umask = Deno.umask(0o077);
    const first = await make("first").finally(() => Deno.umask(umask));
    for (const { executable } of release.builds) Deno.utimeSync(executable, 1, 1);
    assert.equal(await make("second"), first);
    const files = first.trimEnd().split("\n").map((line) => line.slice(66));
    assert.deepEqual(files, [
      "THIRD_PARTY_NOTICES",
      "install.sh",
      "oomkit-1.2.3-oci.tar",
      "oomkit-1.2.3.cdx.json",
      "oomkit-1.2.3.tgz",
      "oomkit-linux-aarch64",
      "oomkit-linux-arm64-1.2.3.tgz",
      "oomkit-linux-x64-1.2.3.tgz",
      "oomkit-linux-x86_64",
      "oomkit_1.2.3_amd64.deb",
      "oomkit_1.2.3_arm64.deb",
    ]);
    const { code } = await new Deno.Command("sha256sum", {
      args: ["--check", "--strict", "--quiet", "SHA256SUMS"],
      cwd: `${directory.path}/first`,
    }).output();
    assert.equal(code, 0, "sha256sum can check it");
  },
});

Deno.test("the image is an OCI layout with every blob under its digest, for both architectures", async () => {
  using directory = makeDirectory();
  const { builds } = releaseIn(directory);
  const name = await makeImage(SOURCE, builds, directory.path);
  const layout = `${directory.path}/layout`;
  Deno.mkdirSync(layout);
  await ran("tar", "-xf", `${directory.path}/${name}`, "-C", layout);
  assert.deepEqual(JSON.parse(Deno.readTextFileSync(`${layout}/oci-layout`)), {
    imageLayoutVersion: "1.0.0",
  });
  const blobs = filesIn(join(layout, "blobs/sha256"));
  for (const digest of blobs) assert.equal(hash("sha256", bytesOf(layout, digest)), digest);
  const read = (descriptor: { digest: string; size: number }) => {
    const bytes = bytesOf(layout, descriptor.digest.slice("sha256:".length));
    assert.equal(bytes.length, descriptor.size);
    return bytes;
  };
  const json = (descriptor: { digest: string; size: number }) =>
    JSON.parse(new TextDecoder().decode(read(descriptor)));
  const [index] = JSON.parse(Deno.readTextFileSync(`${layout}/index.json`)).manifests;
  const { manifests } = json(index);
  assert.deepEqual(
    manifests.map(({ platform }: { platform: unknown }) => platform),
    [{ architecture: "amd64", os: "linux" }, { architecture: "arm64", os: "linux" }],
  );
  // The index, and of each architecture a manifest, a configuration and a layer.
  assert.equal(blobs.length, 1 + 2 * 3);
  for (const descriptor of manifests) {
    const { config, layers: [layer] } = json(descriptor);
    const { config: settings, rootfs } = json(config);
    assert.equal(rootfs.diff_ids[0], `sha256:${hash("sha256", gunzipSync(read(layer)))}`);
    assert.deepEqual(settings.Entrypoint, ["/oomkit"]);
    assert.notEqual(settings.User.split(":")[0], "0");
    assert.equal(settings.Labels["org.opencontainers.image.version"], SOURCE.version);
    assert.equal(settings.Labels["org.opencontainers.image.revision"], SOURCE.commit);
  }
});

const bytesOf = (layout: string, digest: string) =>
  Deno.readFileSync(join(layout, "blobs/sha256", digest));

Deno.test("the bill of materials has every locked package, the runtime and its base, and Debian's", async () => {
  const contents = {
    ...SOURCE,
    deno: "2.7.11",
    base: "npm",
    debian: { amd64: [{ name: "busybox-static", version: "1:1.35.0" }] },
  };
  const text = await sbomText(contents);
  assert.equal(await sbomText(contents), text, "also its serial number");
  const document = JSON.parse(text);
  const component = (name: string) =>
    document.components.find((each: { name: string }) => each.name === name);
  const lock = JSON.parse(Deno.readTextFileSync(new URL("../../deno.lock", import.meta.url)));
  assert.equal(document.components.length, Object.keys(lock.npm).length + 2);
  assert.deepEqual([component("valibot").scope, component("ajv").scope], ["required", "excluded"]);
  assert.deepEqual(component("smol-toml").licenses, [{ license: { id: "BSD-3-Clause" } }]);
  assert.match(component("valibot").hashes[0].content, /^[0-9a-f]{128}$/);
  assert.equal(component("extra-typings").purl, "pkg:npm/%40commander-js/extra-typings@15.1.0");
  assert.equal(component("deno").properties[0].value, "npm");
  assert.equal(
    component("busybox-static").purl,
    "pkg:deb/debian/busybox-static@1%3A1.35.0?arch=amd64",
  );
  const references = new Set(document.components.map((each: Json) => each["bom-ref"]));
  references.add(document.metadata.component["bom-ref"]);
  assert.equal(references.size, document.components.length + 1, "no reference twice");
  for (const { ref, dependsOn } of document.dependencies) {
    for (const each of [ref, ...dependsOn]) assert.ok(references.has(each), each);
  }
});

// deno-lint-ignore no-explicit-any -- a JSON document
type Json = any;
