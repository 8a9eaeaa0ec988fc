/**
 * As much of HTTP/1.1 as a scraper and a kubelet's probe need: one GET or HEAD a connection, which is closed then.
 *
 * `Deno.serve` (2.7.11) bounds neither connections nor the time in which a request must be there: 400 clients that hang hold
 * 400 descriptors for ever, and the descriptors are the guard's own.
 */

export interface Answer {
  readonly status: 200 | 404 | 500 | 503;
  readonly type: string;
  readonly body: string;
}

const REASONS = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
} as const;

type Status = keyof typeof REASONS;

/** A scraper's has some 300 bytes. */
const LONGEST_HEAD = 8192;
/** What a client may go on sending after its answer; to close while something is unread would take the answer back. */
const MOST_DRAINED = 65536;

export const PLAIN = "text/plain; charset=utf-8";

/**
 * Reads one request, answers it and ends the connection. It is the caller who bounds the time: by closing the connection.
 *
 * @param answer called when the request is complete.
 */
export async function converse(
  conn: Deno.Conn,
  answer: (path: string) => Promise<Answer>,
): Promise<void> {
  const head = await readHead(conn);
  if (head === undefined) return;
  const [method, path] = head === "too long" ? [] : parseRequest(head);
  if (head === "too long") await write(conn, 431, PLAIN, "the request is too long\n");
  else if (path === undefined) await write(conn, 400, PLAIN, "this is no HTTP/1 request\n");
  else if (method !== "GET" && method !== "HEAD") {
    await write(conn, 405, PLAIN, "only GET and HEAD\n", { extra: "Allow: GET, HEAD\r\n" });
  } else {
    const { status, type, body } = await answer(path);
    await write(conn, status, type, body, { bare: method === "HEAD" });
  }
  await conn.closeWrite();
  await drain(conn);
}

/** Up to the empty line; `undefined` when the client ends before. */
async function readHead(conn: Deno.Conn): Promise<string | "too long" | undefined> {
  const buffer = new Uint8Array(LONGEST_HEAD);
  const decoder = new TextDecoder();
  for (let length = 0; length < buffer.length;) {
    const count = await conn.read(buffer.subarray(length));
    if (count === null) return undefined;
    length += count;
    const text = decoder.decode(buffer.subarray(0, length));
    if (/\r?\n\r?\n/.test(text)) return text;
  }
  return "too long";
}

/** Method and path without the query; empty for what is no request. */
function parseRequest(head: string): string[] {
  const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.[01]\r?\n/.exec(head) ?? [];
  if (method === undefined || target === undefined) return [];
  const path = target.replace(/^https?:\/\/[^/]*/i, "").split("?")[0]!;
  return [method, path];
}

async function write(
  conn: Deno.Conn,
  status: Status,
  type: string,
  body: string,
  { extra = "", bare = false } = {},
): Promise<void> {
  const encoder = new TextEncoder();
  const content = encoder.encode(body);
  const head = `HTTP/1.1 ${status} ${REASONS[status]}\r\nContent-Type: ${type}\r\n` +
    `Content-Length: ${content.length}\r\nCache-Control: no-store\r\n` +
    `X-Content-Type-Options: nosniff\r\n${extra}Connection: close\r\n\r\n`;
  await writeAll(conn, encoder.encode(head));
  if (!bare) await writeAll(conn, content);
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

async function drain(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(8192);
  for (let taken = 0; taken < MOST_DRAINED;) {
    const count = await conn.read(buffer);
    if (count === null) return;
    taken += count;
  }
}
