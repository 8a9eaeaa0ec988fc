import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { keyOf, optionNamed } from "../../cli/config/config.ts";

/** The key of an option in the configuration file; `undefined` where it stands on the command line alone. */
export function fileKey(command: CommandUnknownOpts, long: string): string | undefined {
  const key = keyOf(long);
  const refused = Symbol();
  try {
    optionNamed(command, key, () => {
      throw refused;
    });
    return key;
  } catch (error) {
    if (error === refused) return undefined;
    throw error;
  }
}
