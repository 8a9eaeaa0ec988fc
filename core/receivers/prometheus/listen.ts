/** The listen address of the metrics server, as written on the command line. Pure. */

import { OomkitError, shortened } from "../../errors.ts";

export interface ListenAddress {
  /** A name, or an IP address without brackets. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** The metrics are not reachable from other machines by default. */
const DEFAULT_HOST = "127.0.0.1";

const FORMAT_HINT = "write [HOST]:PORT, such as :9101, 0.0.0.0:9101 or [::]:9101";

/**
 * Parses `:9101`, `9101`, `0.0.0.0:9101`, `node-1:9101` or `[::]:9101`; the default host is 127.0.0.1.
 * Throws {@link OomkitError} for anything else.
 */
export function parseListen(text: string): ListenAddress {
  const trimmed = text.trim();
  const fail = (why: string, hint = FORMAT_HINT): never => {
    throw new OomkitError(`cannot listen on ${quoted(trimmed)}: ${why}`, hint);
  };
  if (trimmed === "") return fail("it is empty");
  if (/^[a-z]+:\/\//i.test(trimmed)) return fail("it is a URL, not an address");
  if (trimmed.includes("/")) return fail("a path is not an address");
  if (/^[0-9a-f]*:[0-9a-f:.]*:[0-9a-f.]*$/i.test(trimmed)) {
    return fail("an IPv6 address needs brackets", "write it as [::1]:9101");
  }
  const match = /^(?:(?:\[([^\]]*)\]|([^:[\]]*)):)?([^:[\]]*)$/.exec(trimmed);
  if (match === null) return fail("it is not an address");
  const [, bracketed, plain, digits = ""] = match;
  if (digits === "" || (!/^\d+$/.test(digits) && bracketed === undefined && plain === undefined)) {
    return fail("it has no port");
  }
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : NaN;
  if (!(port <= 65535)) {
    return fail(`${quoted(digits)} is not a port`, "a port is a number from 0 to 65535");
  }
  if (bracketed !== undefined) {
    // The kernel checks the rest. After % comes an interface.
    if (!/^[0-9a-f.]*:[0-9a-f:.]*(?:%[\w.-]+)?$/i.test(bracketed)) {
      return fail(`${quoted(bracketed)} is not an IPv6 address`);
    }
    return { host: bracketed, port };
  }
  if (plain === "*") {
    return fail('"*" is not a host', `write 0.0.0.0:${port} for all addresses of this machine`);
  }
  if (plain && !/^[\w.-]+$/.test(plain)) return fail(`${quoted(plain)} is not a host`);
  return { host: plain || DEFAULT_HOST, port };
}

const quoted = (text: string) => JSON.stringify(shortened(text));

/** `127.0.0.1:9101`, `[::1]:9101` */
export function formatListen({ host, port }: ListenAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
