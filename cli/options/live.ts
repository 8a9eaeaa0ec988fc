/** The options of commands that draw on a terminal. */

import { flag, type FlagsOf, pair } from "./option.ts";

export const LIVE_OPTIONS = {
  live: pair(
    "--live",
    "show a live view (default when stdin and stdout are a terminal)",
    "print one line for each event instead of a live view",
    { group: "output" },
  ),
  ascii: flag("--ascii", "draw with ASCII characters only (default without a UTF-8 locale)", {
    group: "output",
  }),
};

/** `live` is undefined when neither --live nor --no-live is given. */
export type DrawFlags = FlagsOf<typeof LIVE_OPTIONS>;
