/**
 * Address of the API server, and the token and CA that are used with it: by default those of the pod's service account. The files
 * are replaced while oomkit runs.
 */

import { errorText, OomkitError } from "../../errors.ts";
import { omitUndefined } from "../../omit_undefined.ts";

export interface ServiceAccountOptions {
  /** `https://HOST:PORT[/PREFIX]`; `http:` only for a proxy on this machine, such as `kubectl proxy`. */
  readonly url?: string;
  /** Not needed behind `kubectl proxy`, which authenticates itself. */
  readonly tokenFile?: string;
  /** Default: the service account's, else the authorities that this machine trusts. */
  readonly caFile?: string;
}

export interface ServiceAccountEnvironment {
  env(name: string): string | undefined;
  /** Directory of the service account's files. */
  readonly mount: string;
}

/** https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/ */
const processEnvironment: ServiceAccountEnvironment = {
  env: (name) => Deno.env.get(name),
  mount: "/var/run/secrets/kubernetes.io/serviceaccount",
};

/** `url` has no slash at its end. Throws {@link OomkitError} when the address is not known or invalid, or when the token would be sent unencrypted. */
export function serviceAccountOf(
  options: ServiceAccountOptions,
  environment = processEnvironment,
): ServiceAccountOptions & { readonly url: string } {
  const { url, isLocal } = checkedUrl(options.url ?? urlInCluster(environment));
  const isPlain = url.startsWith("http:");
  if (isPlain && !isLocal) {
    throw new OomkitError(
      `cannot use the API server at ${url}: the connection would not be encrypted`,
      "use https, or http to this machine as for kubectl proxy",
    );
  }
  const mounted = (name: string) => isPlain ? undefined : `${environment.mount}/${name}`;
  const tokenFile = options.tokenFile ?? mounted("token");
  const caFile = options.caFile ?? ifExists(mounted("ca.crt"));
  return { url, ...omitUndefined({ tokenFile, caFile }) };
}

function urlInCluster({ env }: ServiceAccountEnvironment): string {
  const host = env("KUBERNETES_SERVICE_HOST");
  const port = env("KUBERNETES_SERVICE_PORT_HTTPS") ?? env("KUBERNETES_SERVICE_PORT") ?? "443";
  if (!host) {
    throw new OomkitError(
      "cannot find the API server of Kubernetes: KUBERNETES_SERVICE_HOST is not set",
      "run in a pod, or give its URL",
    );
  }
  return `https://${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${port}`;
}

function checkedUrl(text: string): { readonly url: string; readonly isLocal: boolean } {
  const wrong = (why: string) =>
    new OomkitError(`cannot use "${text}" as the API server: ${why}`, "write https://HOST:PORT");
  const url = URL.parse(text);
  if (url === null) throw wrong("it is not a URL");
  const { protocol, username, password, search, hash, hostname, origin, pathname } = url;
  if (protocol !== "https:" && protocol !== "http:") throw wrong(`${protocol} is not http(s)`);
  if (username !== "" || password !== "") throw wrong("it contains a password");
  if (search !== "" || hash !== "") throw wrong("it has a query or a fragment");
  const isLocal = hostname === "localhost" || hostname === "[::1]" || /^127\./.test(hostname);
  return { url: origin + pathname.replace(/\/+$/, ""), isLocal };
}

function ifExists(path: string | undefined): string | undefined {
  try {
    if (path !== undefined) Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    // Reading the file reports the error.
  }
  return path;
}

/** Far more than a bundle of certificates has. */
const MAX_FILE_BYTES = 1024 * 1024;

/** The use of a small file. While the file is unusable, the last usable content stays in use. */
class CachedFile<T> {
  #fingerprint = "";
  #value: T;
  #trouble: string | undefined;

  /**
   * Throws {@link OomkitError} with `hint` when the file cannot be read or used now.
   *
   * @param what for messages: `the token`.
   * @param parse throws an Error that says what is wrong with the text.
   * @param warn called when the file becomes unusable.
   */
  constructor(
    private readonly path: string,
    private readonly what: string,
    private readonly parse: (text: string) => T,
    private readonly warn: (line: string) => void,
    hint: string,
  ) {
    try {
      this.#value = this.#read();
    } catch (error) {
      throw new OomkitError(`cannot use ${what} in ${path}: ${reasonOf(error)}`, hint);
    }
  }

  /** Why the file is unusable now. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  current(): T {
    return tryFingerprint(this.path) === this.#fingerprint ? this.#value : this.reread();
  }

  /** Reads the file even when it does not look changed. */
  reread(): T {
    try {
      this.#value = this.#read();
      this.#trouble = undefined;
    } catch (error) {
      const trouble = `${this.what} in ${this.path} cannot be used: ${reasonOf(error)}`;
      if (trouble !== this.#trouble) this.warn(trouble);
      this.#trouble = trouble;
    }
    return this.#value;
  }

  #read(): T {
    const info = Deno.statSync(this.path);
    this.#fingerprint = fingerprintOf(info);
    // Reading a device or a FIFO might never end.
    if (!info.isFile) throw new Error("it is not a file");
    if (info.size > MAX_FILE_BYTES) throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`);
    return this.parse(Deno.readTextFileSync(this.path));
  }
}

function tryFingerprint(path: string): string | undefined {
  try {
    return fingerprintOf(Deno.statSync(path));
  } catch {
    return undefined;
  }
}

/** The kubelet swaps a symbolic link, which changes the inode; the time alone may be the same. */
function fingerprintOf({ mtime, ino, dev, size }: Deno.FileInfo): string {
  return [mtime?.getTime(), ino, dev, size].join(" ");
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "it does not exist";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  return errorText(error);
}

/** Throws {@link OomkitError} for an unusable file. */
export function openToken(file: string, warn: (line: string) => void): CachedFile<string> {
  const hint = "give a file with a token of the cluster";
  return new CachedFile(file, "the token", checkedToken, warn, hint);
}

function checkedToken(text: string): string {
  const token = text.trim();
  if (token === "") throw new Error("it is empty");
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Error("it is not a token, but several words");
  return token;
}

/** An HTTP client that trusts the CA in a file; a new client when the file changes. */
export class TrustingClient {
  readonly #file: CachedFile<void> | undefined;
  #client: Deno.HttpClient | undefined;

  /** Throws {@link OomkitError} for an unusable file. @param caFile absent: trusts what this machine trusts. */
  constructor(caFile: string | undefined, warn: (line: string) => void) {
    const hint = "give the certificate of the cluster's authority, in PEM";
    if (caFile === undefined) this.#open({});
    else this.#file = new CachedFile(caFile, "the CA", (pem) => this.#trust(pem), warn, hint);
  }

  current(): Deno.HttpClient {
    this.#file?.current();
    return this.#client!;
  }

  close(): void {
    this.#client?.close();
  }

  #trust(pem: string): void {
    if (!pem.includes("-----BEGIN CERTIFICATE-----")) throw new Error("it has no certificate");
    this.#open({ caCerts: [pem] });
  }

  #open(options: Deno.CreateHttpClientOptions): void {
    // HTTP/1.1: when a middlebox drops a connection silently, all HTTP/2 requests wait on that one connection.
    const client = Deno.createHttpClient({ ...options, http2: false });
    // Requests in flight continue.
    this.#client?.close();
    this.#client = client;
  }
}
