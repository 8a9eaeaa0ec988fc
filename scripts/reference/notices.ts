/** THIRD_PARTY_NOTICES: the licences of what is in the executable. */

import { join } from "node:path";
import { bundledPackages, type Package, packageDirectory } from "../build/packages.ts";
import { root } from "../command.ts";
import { Mistake } from "../terminal.ts";

interface Notice {
  readonly title: string;
  readonly text: string;
}

/** The licence files of the runtime, which npm's cache does not have. */
const licences = join(root, "scripts/reference/licences");

const RULE = "=".repeat(80);

const INTRODUCTION = `oomkit is MIT licensed. Its executable contains what follows.`;

/** Deno publishes no list of the notices of its crates. */
const REMAINDER =
  `The runtime is linked with further libraries: the Rust crates that Deno's Cargo.lock of the same
version lists (under MIT, Apache 2.0, BSD, ISC, Unicode and similar licences), and with V8 those of its
third_party directory, among them ICU (Unicode licence). Their texts are with their sources, and are not
repeated here.`;

export async function noticesText(): Promise<string> {
  const notices = [
    { title: "oomkit", text: Deno.readTextFileSync(join(root, "LICENSE")) },
    ...await Promise.all((await bundledPackages()).map(packageNotice)),
    runtimeNotice("Deno, the runtime (MIT)", "deno.txt"),
    runtimeNotice("V8, the JavaScript engine in Deno (BSD-3-Clause)", "v8.txt"),
    { title: "Libraries in Deno and V8", text: REMAINDER },
  ];
  // Packages of one project have the same text.
  const sections = Map.groupBy(notices, ({ text }) => text.trim()).entries().map(([text, same]) =>
    `${RULE}\n${same.map(({ title }) => title).join("\n")}\n${RULE}\n\n${text}`
  );
  return `${[INTRODUCTION, ...sections].join("\n\n")}\n`.replaceAll("\r\n", "\n");
}

async function packageNotice(each: Package): Promise<Notice> {
  const directory = await packageDirectory(each);
  const { license } = JSON.parse(Deno.readTextFileSync(join(directory, "package.json")));
  const file = [...Deno.readDirSync(directory)].find(({ name }) => /^licen[cs]e/i.test(name));
  if (file === undefined) throw new Mistake(`${each.name} has no licence file`);
  return {
    title: `${each.name} ${each.version} (${license})`,
    text: Deno.readTextFileSync(join(directory, file.name)),
  };
}

const runtimeNotice = (title: string, file: string): Notice => ({
  title,
  text: Deno.readTextFileSync(join(licences, file)),
});
