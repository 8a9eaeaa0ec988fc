import assert from "node:assert/strict";
import { parseMaps } from "../../../core/parse/procfs.ts";

const TEXT =
  `55e9119f8000-55e913fab000 r--p 00000000 fe:00 5308419                    /usr/bin/oom kit
55e917669000-55e91768f000 rw-p 05c6e000 fe:00 5308419                    /usr/bin/oom kit (deleted)
7f4542400000-7f4542500000 rw-p 00000000 00:00 0 
7ffd5a3de000-7ffd5a3ff000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;

Deno.test("a mapping has its addresses and its file, also with blanks in its name", () => {
  const [first, copied] = parseMaps(TEXT);
  assert.deepEqual(first, {
    start: 0x55e9119f8000n,
    end: 0x55e913fab000n,
    isWritable: false,
    path: "/usr/bin/oom kit",
  });
  assert.equal(copied?.isWritable, true);
});

Deno.test("anonymous memory has no path, and the kernel's own mappings have a name", () => {
  assert.deepEqual(parseMaps(TEXT).map(({ path }) => path).slice(2), ["", "[stack]", "[vsyscall]"]);
});

Deno.test("a line that is cut short is left out", () => {
  assert.deepEqual(parseMaps("55e9119f8000-55e913fab000 r--p 000"), []);
});
