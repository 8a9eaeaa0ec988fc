/** Address of the API server and the files that authenticate against it: by default those of the pod's service account. */

import { OomkitError } from "../../errors.ts";
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
    new OomkitError(
      `cannot use "${text}" as the API server: ${why}`,
      "write https://HOST:PORT",
    );
  if (!URL.canParse(text)) throw wrong("it is not a URL");
  const { protocol, username, password, search, hash, hostname, origin, pathname } = new URL(text);
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
