/** Events to a URL or a unix socket, one POST each. */

import { OomkitError, shortened } from "../errors.ts";
import { type Attempt, type DeliveryOptions, openDelivery } from "./delivery.ts";
import type { OomkitEvent } from "../events/event.ts";
import type { Receiver } from "./receiver.ts";

/** A body and what it is. */
export interface HttpMessage {
  readonly body: string;
  /** Its media type. */
  readonly type: string;
}

export interface WebhookOptions {
  /** `http://…`, `https://…`, or `unix:/path/of.sock`, whose resource follows a second colon: `unix:/run/x.sock:/events`. */
  readonly url: string;
  /** `undefined` for an event that this receiver is not told of. */
  write(event: OomkitEvent, stat: string): HttpMessage | undefined;
  readonly headers?: readonly (readonly [string, string])[];
  /** Signs each body: HMAC-SHA256. */
  readonly secret?: Uint8Array<ArrayBuffer>;
  /** PEM, beside the authorities that are known anyway. */
  readonly caCerts?: readonly string[];
  /** Milliseconds for one try. */
  readonly timeout?: number;
  /** Milliseconds for all that is left in the end. */
  readonly closeWithin?: number;
  warn(line: string): void;
  /** For tests, and how many may wait. */
  readonly queue?: Pick<DeliveryOptions<HttpMessage>, "sleep" | "random" | "most">;
}

const TIMEOUT_MS = 5000;

/** Beside the body's own media type. The signature is of the body's bytes, in hexadecimal digits, behind `sha256=`. */
export const SIGNATURE_HEADER = "x-oomkit-signature";

/** Throws {@link OomkitError} for a URL that cannot be one, or certificates that cannot be read. */
export function openWebhook(options: WebhookOptions): Receiver {
  const { write, headers = [], secret, timeout = TIMEOUT_MS, closeWithin, warn } = options;
  const { url, socket } = addressOf(options.url);
  const shown = shownUrl(options.url);
  const client = clientFor(options, socket);
  const key = secret === undefined ? undefined : crypto.subtle.importKey(
    "raw",
    secret,
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign"],
  );
  const post = async ({ body, type }: HttpMessage, ending: AbortSignal): Promise<Attempt> => {
    const bytes = new TextEncoder().encode(body);
    const all = new Headers([...headers.map(([name, value]): [string, string] => [name, value])]);
    all.set("content-type", type);
    if (key) all.set(SIGNATURE_HEADER, `sha256=${await signatureOf(await key, bytes)}`);
    try {
      const answer = await fetch(url, {
        method: "POST",
        body: bytes,
        headers: all,
        ...(client ? { client } : {}),
        signal: AbortSignal.any([AbortSignal.timeout(timeout), ending]),
        // Where it leads to is not what was asked for, and may be anybody's.
        redirect: "manual",
      });
      // However much of it there may be.
      await answer.body?.cancel();
      return attemptOf(answer);
    } catch (error) {
      return { is: "later", why: reasonOf(error, timeout).replaceAll(new URL(url).href, shown) };
    }
  };
  const delivery = openDelivery<HttpMessage>({
    // What follows may be a secret: that of many a chat's hook is its path.
    what: `report to ${shortened(shown)}`,
    deliver: post,
    warn,
    ...options.queue,
    ...(closeWithin === undefined ? {} : { closeWithin }),
  });
  return {
    name: "webhook",
    report(event, stat) {
      const httpMessage = write(event, stat);
      if (httpMessage !== undefined) delivery.send(httpMessage);
    },
    counts: delivery.counts,
    async close() {
      await delivery.close();
      client?.close();
    },
  };
}

/** What would not become better by being sent again is not sent again: RFC 9110, 15.5. */
function attemptOf(answer: Response): Attempt {
  if (answer.ok) return { is: "done" };
  const why = `it answered ${answer.status}`;
  if ([400, 405, 406, 411, 413, 414, 415, 422].includes(answer.status)) return { is: "never", why };
  const after = retryAfter(answer.headers.get("retry-after") ?? "");
  return { is: "later", why, ...(after > 0 ? { after } : {}) };
}

/** Milliseconds of seconds, or until a date: RFC 9110, 10.2.3. NaN for what is neither. */
function retryAfter(text: string): number {
  if (/^\d+$/.test(text)) return 1000 * Number(text);
  return text.endsWith(" GMT") ? Date.parse(text) - Date.now() : NaN;
}

async function signatureOf(key: CryptoKey, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, bytes)).toHex();
}

interface Address {
  readonly url: string;
  /** The path of a unix socket. */
  readonly socket?: string;
}

function addressOf(text: string): Address {
  const [, socket, resource = "/"] = /^unix:(\/[^:]+)(?::(\/.*))?$/.exec(text) ?? [];
  if (socket !== undefined) return { url: `http://localhost${resource}`, socket };
  const scheme = URL.canParse(text) ? new URL(text).protocol : undefined;
  if (scheme === "http:" || scheme === "https:") return { url: text };
  throw new OomkitError(
    `cannot report to "${shortened(text)}": it is no URL`,
    "use one such as http://localhost/message, or unix:/run/events.sock",
  );
}

/** For people: the rest of it may be a secret. */
export function shownUrl(text: string): string {
  const { url, socket } = addressOf(text);
  return socket === undefined ? new URL(url).origin : `unix:${socket}`;
}

/** Checks what {@link openWebhook} would refuse. */
export function checkWebhookUrl(text: string): string {
  addressOf(text);
  return text;
}

function clientFor(
  { caCerts }: WebhookOptions,
  socket: string | undefined,
): Deno.HttpClient | undefined {
  if (caCerts === undefined && socket === undefined) return undefined;
  try {
    return Deno.createHttpClient({
      ...(caCerts ? { caCerts: [...caCerts] } : {}),
      ...(socket === undefined ? {} : { proxy: { transport: "unix", path: socket } }),
    });
  } catch (error) {
    throw new OomkitError(
      `cannot use the certificates for the webhook: ${reasonOf(error, 0)}`,
      "name a file of certificates in PEM form",
    );
  }
}

/** Deno names the URL in front, and the errno behind. */
function reasonOf(error: unknown, timeout: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `it did not answer within ${timeout} ms`;
  return error.message
    .replace(/^error sending request (?:from \S+ )?for (?:url )?\(?\S+?\)?(?: \([^)]*\))?: /, "")
    .replace(/ \(os error \d+\)$/, "");
}
