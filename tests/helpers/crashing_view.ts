/** Run by a test in its own terminal: opens the terminal as the live view does, and ends as its argument says. */

import { Terminal } from "../../cli/terminal/terminal.ts";

const terminal = new Terminal({ onKey() {}, onRedraw() {}, onLost() {} });
terminal.show(["IN THE VIEW", ...Array<string>(23).fill("")], { columns: 100, rows: 24 });
const fail = () => {
  throw new Error("uncaught");
};
setTimeout(() => {
  if (Deno.args[0] === "throw") fail();
  else if (Deno.args[0] === "reject") Promise.resolve().then(fail);
  else Deno.exit(3);
}, 200);
