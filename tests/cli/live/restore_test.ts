/** The terminal after a program that went down: what the tests of the executable cannot bring about. */

import assert from "node:assert/strict";
import { AS_FOUND, openTmux, whyNoTmux } from "../../helpers/tmux.ts";

const why = whyNoTmux();
const root = new URL("../../..", import.meta.url).pathname;

const ways = {
  throw: "an exception that nobody catches",
  reject: "a promise that nobody waits for",
  exit: "an exit in the middle of everything",
};
for (const [way, what] of Object.entries(ways)) {
  const test = async () => {
    const flags = `run -A --quiet --no-check -c ${root}deno.json`;
    const run =
      `before=$(stty -g); ${Deno.execPath()} ${flags} ${root}tests/helpers/crashing_view.ts ${way}; ` +
      `[ "$(stty -g)" = "$before" ] && echo "as it was" || echo "changed"; cat`;
    using screen = openTmux(run);
    await screen.until((text) => text.includes("IN THE VIEW"), "drew");
    assert.notEqual(screen.modes(), AS_FOUND);
    await screen.until((text) => text.includes("as it was"), "gave it back");
    assert.equal(screen.modes(), AS_FOUND);
  };
  const name = `the terminal is given back after ${what}`;
  if (why === undefined) Deno.test(name, test);
  else Deno.test.ignore(`${name} [${why}]`, test);
}
