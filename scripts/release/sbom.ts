/** The bill of materials, CycloneDX 1.6: packages of deno.lock, the runtime, and Debian's packages in the image. */

import { hash } from "node:crypto";
import { join } from "node:path";
import {
  bundledPackages,
  lockedPackages,
  type Package,
  packageDirectory,
} from "../build/packages.ts";
import type { DebianPackage } from "./debian_files.ts";
import { DESCRIPTION, type Source } from "./source.ts";

export interface Contents extends Source {
  /** The version of Deno, and where its runtime base is from. */
  readonly deno: string;
  readonly base: string;
  /** By Debian's architecture. */
  readonly debian: Readonly<Record<string, readonly DebianPackage[]>>;
}

export async function sbomText(contents: Contents): Promise<string> {
  const { version, time } = contents;
  const locked = lockedPackages();
  const bundled = await bundledPackages();
  const isBundled = new Set(bundled.map(({ name }) => name));
  const licences = new Map<string, string>();
  for (const each of bundled) licences.set(each.name, await licenceOf(each));
  const runtime = runtimeComponent(contents);
  const program = {
    type: "application",
    "bom-ref": `oomkit@${version}`,
    name: "oomkit",
    version,
    description: DESCRIPTION,
    licenses: [{ license: { id: "MIT" } }],
    properties: [{ name: "oomkit:commit", value: contents.commit }],
  };
  const image = Object.entries(contents.debian).flatMap(([architecture, packages]) =>
    packages.map((each) => debianComponent(each, architecture))
  );
  const components = [
    ...[...locked.values()].map((each) =>
      npmComponent(each, isBundled.has(each.name), licences.get(each.name))
    ),
    runtime,
    ...image,
  ];
  const dependencies = [
    {
      ref: program["bom-ref"],
      dependsOn: [...bundled.map(npmUrl), runtime["bom-ref"]],
    },
    ...[...locked.values()].map((each) => ({
      ref: npmUrl(each),
      dependsOn: each.dependencies.map((name) => npmUrl(locked.get(name)!)),
    })),
  ];
  const content = {
    metadata: {
      timestamp: new Date(time * 1000).toISOString(),
      component: program,
    },
    components,
    dependencies,
  };
  const document = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify(content))}`,
    version: 1,
    ...content,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function npmComponent(each: Package, isBundled: boolean, licence: string | undefined) {
  const [group, name] = each.name.startsWith("@") ? each.name.split("/") : [undefined, each.name];
  return {
    type: "library",
    "bom-ref": npmUrl(each),
    ...group !== undefined && { group },
    name,
    version: each.version,
    // Excluded: used by tests and scripts only.
    scope: isBundled ? "required" : "excluded",
    hashes: [{ alg: "SHA-512", content: hexOf(each.integrity) }],
    ...licence !== undefined && { licenses: [{ license: { id: licence } }] },
    purl: npmUrl(each),
  };
}

const npmUrl = ({ name, version }: Package) => `pkg:npm/${name.replace("@", "%40")}@${version}`;

async function licenceOf(each: Package): Promise<string> {
  const manifest = join(await packageDirectory(each), "package.json");
  return JSON.parse(Deno.readTextFileSync(manifest)).license;
}

/** @param integrity `sha512-` and base64. */
function hexOf(integrity: string): string {
  return Uint8Array.fromBase64(integrity.slice("sha512-".length)).toHex();
}

function runtimeComponent({ deno, base }: Contents) {
  const url = `pkg:github/denoland/deno@v${deno}`;
  return {
    type: "framework",
    "bom-ref": url,
    name: "deno",
    version: deno,
    scope: "required",
    licenses: [{ license: { id: "MIT" } }],
    purl: url,
    properties: [{ name: "oomkit:runtime-base", value: base }],
  };
}

/** In the image only. */
function debianComponent({ name, version }: DebianPackage, architecture: string) {
  const url = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`;
  return { type: "library", "bom-ref": url, name, version, scope: "optional", purl: url };
}

/** Of the content, so that the same content has the same number: a UUID of version 8. */
function uuidOf(text: string): string {
  const hex = hash("sha256", text);
  const variant = "89ab"[parseInt(hex[16]!, 16) % 4];
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
}
