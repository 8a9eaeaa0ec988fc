/** Why a request failed, of what `fetch` threw. There is no code: in all versions of Deno the reason is text. */

import { errorText } from "../errors.ts";

/** Without the URL and the addresses, which Deno puts in front: a URL may contain a secret. */
export function requestErrorText(error: unknown): string {
  return errorText(reasonOf(error))
    .replace(/^error sending request (?:from \S+ )?for (?:url )?\(?\S+?\)?(?: \([^)]*\))?: /, "")
    .replace(/^client error \(\w+\): /, "");
}

/** Since Deno 2.9 the error is "fetch failed" as in Node.js, and its cause has the reason; before, it has the reason itself. */
const reasonOf = (error: unknown) => error instanceof TypeError ? error.cause ?? error : error;
