/** Each promise of docs/security.md names a test; these tests must exist. */

import assert from "node:assert/strict";

const root = new URL("../..", import.meta.url);
const document = Deno.readTextFileSync(new URL("docs/security.md", root));
const prose = (text: string) => text.replace(/\s+/g, " ");

/** Cells of all table rows except headings; the last cell names tests. */
const rows = document.split("\n").filter((line) => /^\| (?!Attempt|-)/.test(line))
  .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));

/** `tests/…_test.ts`: "sentence", one or several. */
const cited = (cell: string) =>
  cell.split(/; (?=`)/).map((part) => /^`(tests\/\S+_test\.ts)`: "(.+)"$/.exec(part));

Deno.test("each line of the threat model names an existing test", () => {
  assert.ok(rows.length >= 25, `${rows.length} lines`);
  for (const row of rows) {
    assert.equal(row.length, 3, row.join(" | "));
    for (const found of cited(row[2]!)) {
      assert.ok(found, row[2]);
      const [, file, sentence] = found;
      const text = Deno.readTextFileSync(new URL(file!, root));
      const pattern =
        /(?:Deno\.test|kernelTest|anyVersionTest)\(\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)/g;
      const sentences = [...text.matchAll(pattern)].map(([, plain, template]) =>
        (plain ?? template)!.replace(/\$\{[^}]*\}/g, "…")
      );
      assert.ok(sentences.includes(sentence!), `${file} has no "${sentence}"`);
    }
  }
});

Deno.test("the threat model is short, and has a section on what is not protected", () => {
  assert.ok(document.split("\n").length < 150);
  assert.match(prose(document), /## Not protected against/);
});
