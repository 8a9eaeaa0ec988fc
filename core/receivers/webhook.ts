/** POSTs each event to a URL or a Unix socket. */

import { errorText, OomkitError, shortened } from "../errors.ts";
import { isPriorityEvent, type OomkitEvent } from "../events/event.ts";
import type { HttpMessage } from "../events/cloud_event.ts";
import { type Attempt, Delivery, type DeliveryOptions, retryAfterMs } from "./delivery.ts";
import type { TypeCounts } from "./dropped_events.ts";
import type { Receiver, ReceiverCounts } from "./receiver.ts";
import { requestErrorText } from "./request_error.ts";

export interface WebhookOptions {
  /** `http://…`, `https://…`, or `unix:/path/of.sock`; an HTTP path follows a second colon: `unix:/run/x.sock:/events`. */
  readonly url: string;
  /** Returns `undefined` for an event that is not sent. */
  write(event: OomkitEvent, stat: string): HttpMessage | undefined;
  /** With priority over those that every request has. */
  readonly headers?: readonly (readonly [string, string])[];
  /** Such as `oomkit/0.1.0`. */
  readonly userAgent?: string;
  /** Signs each body with HMAC-SHA256. */
  readonly secret?: Uint8Array<ArrayBuffer>;
  /** PEM, trusted in addition to the default authorities. */
  readonly caCerts?: readonly string[];
  /** Milliseconds per attempt. */
  readonly timeout?: number;
  /** Milliseconds that `close` waits for queued events. */
  readonly closeWithin?: number;
  warn(line: string): void;
  /** For tests. */
  readonly queue?: Pick<
    DeliveryOptions<HttpMessage>,
    "sleep" | "random" | "maxQueued" | "maxQueuedPriority"
  >;
}

const ATTEMPT_TIMEOUT_MS = 5000;

/** `sha256=` and the hexadecimal HMAC of the body's bytes. */
export const SIGNATURE_HEADER = "x-oomkit-signature";

/** Statuses that another attempt with the same request would not change (RFC 9110, 15.5). */
const PERMANENT_STATUSES = [400, 405, 406, 411, 413, 414, 415, 422];

export class Webhook implements Receiver {
  readonly name = "webhook";
  readonly #options: WebhookOptions;
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #client: Deno.HttpClient | undefined;
  readonly #key: Promise<CryptoKey> | undefined;
  readonly #delivery: Delivery<HttpMessage>;

  /** Throws {@link OomkitError} for an invalid URL, or for certificates that cannot be used. */
  constructor(options: WebhookOptions) {
    const { secret, closeWithin, warn } = options;
    const { url, socket } = addressOf(options.url);
    this.#options = options;
    this.#url = url;
    this.#timeoutMs = options.timeout ?? ATTEMPT_TIMEOUT_MS;
    this.#client = clientFor(options, socket);
    this.#key = secret && crypto.subtle.importKey(
      "raw",
      secret,
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["sign"],
    );
    this.#delivery = new Delivery({
      what: `report to ${shortened(shownUrl(options.url))}`,
      deliver: (message, ending) => this.#post(message, ending),
      warn,
      ...options.queue,
      ...(closeWithin === undefined ? {} : { closeWithin }),
    });
  }

  report(event: OomkitEvent, stat: string): void {
    const message = this.#options.write(event, stat);
    if (message === undefined) return;
    this.#delivery.send(message, event.type, isPriorityEvent(event), event.cgroup);
  }

  counts(): ReceiverCounts {
    return this.#delivery.counts();
  }

  droppedByType(): TypeCounts {
    return this.#delivery.droppedByType();
  }

  async close(): Promise<void> {
    await this.#delivery.close();
    this.#client?.close();
  }

  async #post({ body, type }: HttpMessage, ending: AbortSignal): Promise<Attempt> {
    const bytes = new TextEncoder().encode(body);
    const headers = new Headers(
      this.#options.headers?.map(([name, value]): [string, string] => [name, value]),
    );
    const { userAgent } = this.#options;
    if (userAgent !== undefined && !headers.has("user-agent")) headers.set("user-agent", userAgent);
    headers.set("content-type", type);
    if (this.#key) {
      const hmac = await crypto.subtle.sign("HMAC", await this.#key, bytes);
      headers.set(SIGNATURE_HEADER, `sha256=${new Uint8Array(hmac).toHex()}`);
    }
    try {
      const answer = await fetch(this.#url, {
        method: "POST",
        body: bytes,
        headers,
        ...(this.#client ? { client: this.#client } : {}),
        signal: AbortSignal.any([AbortSignal.timeout(this.#timeoutMs), ending]),
        // The user configured this URL, not the one that it redirects to.
        redirect: "manual",
      });
      // The body may be endless.
      await answer.body?.cancel();
      return attemptOf(answer);
    } catch (error) {
      const shown = shownUrl(this.#options.url);
      const why = failureText(error, this.#timeoutMs);
      return { is: "later", why: why.replaceAll(new URL(this.#url).href, shown) };
    }
  }
}

function attemptOf(answer: Response): Attempt {
  if (answer.ok) return { is: "done" };
  const why = `it answered ${answer.status}`;
  if (PERMANENT_STATUSES.includes(answer.status)) return { is: "never", why };
  return { is: "later", why, after: retryAfterMs(answer.headers) };
}

/** `socket`: the path of a Unix socket. */
function addressOf(text: string): { readonly url: string; readonly socket?: string } {
  const [, socket, resource = "/"] = /^unix:(\/[^:]+)(?::(\/.*))?$/.exec(text) ?? [];
  if (socket !== undefined) return { url: `http://localhost${resource}`, socket };
  const scheme = URL.canParse(text) ? new URL(text).protocol : undefined;
  if (scheme === "http:" || scheme === "https:") return { url: text };
  const why = scheme === undefined
    ? "it is not a URL"
    : scheme === "unix:"
    ? "the path of the socket is not absolute"
    : "its scheme is not http, https or unix";
  throw new OomkitError(
    `cannot report to "${shortened(text)}": ${why}`,
    "use one such as http://localhost/message, or unix:/run/events.sock",
  );
}

/** The part of a webhook's URL that may be shown: the path of many chat webhooks is a secret. */
export function shownUrl(text: string): string {
  const { url, socket } = addressOf(text);
  return socket === undefined ? new URL(url).origin : `unix:${socket}`;
}

/** Returns `text`. Throws {@link OomkitError} when {@link Webhook} would refuse it. */
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
      `cannot use the certificates for the webhook: ${errorText(error)}`,
      "name a file of certificates in PEM form",
    );
  }
}

function failureText(error: unknown, timeoutMs: number): string {
  return error instanceof Error && error.name === "TimeoutError"
    ? `it did not answer within ${timeoutMs} ms`
    : requestErrorText(error);
}
