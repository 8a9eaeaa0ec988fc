/** Run by a test in a terminal of its own: takes the terminal as the live view does, and ends in the way that is asked for. */

import { openTerminal } from "../../cli/terminal/terminal.ts";

const terminal = openTerminal({ onKey() {}, onRedraw() {}, onLost() {} });
terminal.show(["IN THE VIEW", ...Array<string>(23).fill("")], { columns: 100, rows: 24 });
const fail = () => {
  throw new Error("thrown where nobody waits");
};
setTimeout(() => {
  if (Deno.args[0] === "throw") fail();
  else if (Deno.args[0] === "reject") Promise.resolve().then(fail);
  else Deno.exit(3);
}, 200);
