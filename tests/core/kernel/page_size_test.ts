import assert from "node:assert/strict";
import { pageSize } from "../../../core/kernel/page_size.ts";

Deno.test("the page size is that of getconf(1)", () => {
  const { stdout } = new Deno.Command("getconf", { args: ["PAGESIZE"] }).outputSync();
  assert.equal(pageSize(), Number(new TextDecoder().decode(stdout)));
});
