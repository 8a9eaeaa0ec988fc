/**
 * Posts metrics by OTLP/HTTP. By `fetch` and not by OpenTelemetry's exporter, which takes node:http: there (Deno 2.7.11) a name that is
 * not known throws ERR_HTTP_HEADERS_SENT where no caller can catch it, and the guard would end.
 */

import { parseKeyPairsIntoRecord } from "@opentelemetry/core";
import { JsonMetricsSerializer } from "@opentelemetry/otlp-transformer";
import type { ResourceMetrics } from "@opentelemetry/sdk-metrics";
import { errorText, OomkitError, shortened } from "../../errors.ts";
import { requestErrorText } from "../request_error.ts";

export interface Request {
  readonly url: string;
  readonly headers: Headers;
  /** Milliseconds. */
  readonly timeout: number;
  readonly isCompressed: boolean;
  readonly client: Deno.HttpClient | undefined;
}

/** What is the same in each request, with OpenTelemetry's variables. Throws {@link OomkitError} for certificates that cannot be used. */
export function requestTo(url: string, userAgent: string, timeout: number): Request {
  const headers = new Headers({ "user-agent": userAgent });
  for (const [name, value] of Object.entries(headersOfVariables())) setHeader(headers, name, value);
  headers.set("content-type", "application/json");
  const isCompressed = variable("COMPRESSION") === "gzip";
  if (isCompressed) headers.set("content-encoding", "gzip");
  return { url, headers, timeout, isCompressed, client: clientOf(variable("CERTIFICATE")) };
}

/** A variable for metrics, or else for all signals. */
export function variable(name: string): string | undefined {
  const text = Deno.env.get(`OTEL_EXPORTER_OTLP_METRICS_${name}`) ||
    Deno.env.get(`OTEL_EXPORTER_OTLP_${name}`);
  return text?.trim() || undefined;
}

/** The text of an {@link OomkitError} that says why a header cannot be sent has no part of its value, which may be a secret. */
function setHeader(headers: Headers, name: string, value: string): void {
  try {
    headers.set(name, value);
  } catch {
    throw new OomkitError(
      `cannot send the header ${shortened(name)} of OTEL_EXPORTER_OTLP_HEADERS: it is not valid`,
      "write name=value,name=value with percent-encoding",
    );
  }
}

const headersOfVariables = (): Record<string, string> =>
  parseKeyPairsIntoRecord(variable("HEADERS") ?? "");

function clientOf(certificates: string | undefined): Deno.HttpClient | undefined {
  if (certificates === undefined) return undefined;
  try {
    return Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(certificates)] });
  } catch (error) {
    throw new OomkitError(
      `cannot use the certificates in ${shortened(certificates)}: ${errorText(error)}`,
      "let OTEL_EXPORTER_OTLP_CERTIFICATE name a file of certificates in PEM form",
    );
  }
}

/** Never rejects. @returns what the receiver rejects of it; `failure` when it has taken nothing. */
export async function post(
  metrics: ResourceMetrics,
  { url, headers, timeout, isCompressed, client }: Request,
): Promise<{ readonly failure?: string; readonly rejected?: string }> {
  try {
    const json = new Blob([JsonMetricsSerializer.serializeRequest(metrics) as BlobPart]);
    const compressed = json.stream().pipeThrough(new CompressionStream("gzip"));
    const answer = await fetch(url, {
      method: "POST",
      headers,
      body: isCompressed ? await new Response(compressed).bytes() : await json.bytes(),
      signal: AbortSignal.timeout(timeout),
      redirect: "manual",
      ...client && { client },
    });
    if (!answer.ok) {
      await answer.body?.cancel();
      return { failure: `it answered ${answer.status}` };
    }
    return rejectedBy(await answer.text());
  } catch (error) {
    const isLate = error instanceof Error && error.name === "TimeoutError";
    return {
      failure: isLate ? `it did not answer within ${timeout} ms` : requestErrorText(error),
    };
  }
}

/** The metrics have arrived; an answer without a body or in another format says no more. */
function rejectedBy(body: string): { readonly rejected?: string } {
  try {
    const { rejectedDataPoints, errorMessage } = JSON.parse(body).partialSuccess;
    return Number(rejectedDataPoints) > 0
      ? { rejected: `${rejectedDataPoints} data points: ${shortened(String(errorMessage))}` }
      : {};
  } catch {
    return {};
  }
}
