/** The terminal after a crash, which the tests of the executable cannot cause. */

import assert from "node:assert/strict";
import { DEFAULT_MODES, openTmux, whyNoTmux } from "../../helpers/tmux.ts";

const skipReason = whyNoTmux();
const root = new URL("../../..", import.meta.url).pathname;

const ways = {
  throw: "an uncaught exception",
  reject: "an unhandled rejection",
  exit: "an exit while the view is open",
};
for (const [way, what] of Object.entries(ways)) {
  const test = async () => {
    const flags = `run -A --quiet --no-check -c ${root}deno.json`;
    const run =
      `before=$(stty -g); ${Deno.execPath()} ${flags} ${root}tests/helpers/crashing_view.ts ${way}; ` +
      `[ "$(stty -g)" = "$before" ] && echo "restored" || echo "changed"; cat`;
    using screen = openTmux(run);
    await screen.until((text) => text.includes("IN THE VIEW"), "drew");
    assert.notEqual(screen.modes(), DEFAULT_MODES);
    await screen.until((text) => text.includes("restored"), "restored it");
    assert.equal(screen.modes(), DEFAULT_MODES);
  };
  const name = `the terminal is restored after ${what}`;
  if (skipReason === undefined) Deno.test(name, test);
  else Deno.test.ignore(`${name} [${skipReason}]`, test);
}
