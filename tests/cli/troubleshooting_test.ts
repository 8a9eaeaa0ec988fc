/** Holds docs/troubleshooting.md to the texts that the program prints. */

import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url).pathname;

/** The sources of the program, with the literals joined that `+` joins. */
function sources(): string {
  const files = (dir: string): string[] =>
    [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) =>
      isDirectory ? files(`${dir}/${name}`) : name.endsWith(".ts") ? [`${dir}/${name}`] : []
    );
  return ["core", "cli"].flatMap((room) => files(`${root}${room}`))
    .map((file) => Deno.readTextFileSync(file).replace(/["'`] \+\n\s*["'`]/g, "")).join("\n");
}

Deno.test("each text in the tables and symptoms of docs/troubleshooting.md is one that is printed", () => {
  const page = Deno.readTextFileSync(`${root}docs/troubleshooting.md`);
  const rows = [...page.matchAll(/^\| `([^`]+)` +\|/gm)].map(([, text]) => text!);
  const symptoms = [...page.matchAll(/^\*\*"([^"]+)"\.\*\*/gm)].map(([, text]) => text!);
  assert.ok(rows.length > 10 && symptoms.length > 3, `${rows.length} rows, ${symptoms.length}`);
  const printed = sources();
  const stale = [...rows, ...symptoms].filter((text) => !printed.includes(text));
  assert.deepEqual(stale, []);
});
