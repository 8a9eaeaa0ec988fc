/** The URL of an OTLP receiver, as written on the command line. Pure. */

import { OomkitError } from "../../errors.ts";

const PATH = "/v1/metrics";

/**
 * The URL that metrics are posted to: with the path of OTLP/HTTP behind that of the receiver, as for OTEL_EXPORTER_OTLP_ENDPOINT.
 * Throws {@link OomkitError} for anything but an http or https URL. The message has no part of the URL, which may be a secret.
 */
export function otlpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    const why = url === undefined ? "it is not a URL" : "its scheme is not http or https";
    throw new OomkitError(why, "use one such as http://localhost:4318");
  }
  const path = url.pathname.replace(/\/+$/, "");
  url.pathname = path.endsWith(PATH) ? path : path + PATH;
  return url.href;
}

/** The part that may be shown. */
export const shownOtlpUrl = (text: string): string => new URL(text).origin;
