/** What is asked of a terminal: the options of commands that draw on it. */

import { option } from "./option.ts";

export const asciiOption = option(
  "--ascii",
  "draw with ASCII alone, as where the locale is not of UTF-8",
);
export const liveOption = option(
  "--live",
  "show a live view on the terminal, which is usual where stdout and stdin are one",
);
export const noLiveOption = option("--no-live", "print a line for each event instead");

/** As commander hands them over; `live` is absent where nobody said anything. */
export interface DrawFlags {
  readonly live?: boolean | undefined;
  readonly ascii?: true | undefined;
}
