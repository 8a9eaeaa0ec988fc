/** The options of commands that draw on a terminal. */

import { option } from "./option.ts";

export const asciiOption = option(
  "--ascii",
  "draw with ASCII characters only (default without a UTF-8 locale)",
  { group: "output" },
);
export const liveOption = option(
  "--live",
  "show a live view (default when stdin and stdout are a terminal)",
  { group: "output" },
);
export const noLiveOption = option(
  "--no-live",
  "print one line for each event instead of a live view",
  { group: "output" },
);

/** As commander returns them; `live` is undefined when neither --live nor --no-live is given. */
export interface DrawFlags {
  readonly live?: boolean | undefined;
  readonly ascii?: true | undefined;
}
