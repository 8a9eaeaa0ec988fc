/** Where the API server is, and which files open it: those of a pod's service account unless others are named. */

import { OomkitError } from "../../errors.ts";

export interface ServiceAccountOptions {
  /** `https://HOST:PORT[/PREFIX]`; `http:` only for a proxy on this machine, such as `kubectl proxy`. */
  readonly url?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
}

export interface ServiceAccount {
  /** Without a slash at its end. */
  readonly url: string;
  /** Absent: nothing is asked for, as behind `kubectl proxy`. */
  readonly tokenFile?: string;
  /** Absent: the authorities that this machine trusts. */
  readonly caFile?: string;
}

/** https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/ */
const MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

export interface Surroundings {
  env(name: string): string | undefined;
  readonly mount: string;
}

const here: Surroundings = { env: (name) => Deno.env.get(name), mount: MOUNT };

/** @throws {OomkitError} when there is no telling where it is, or when a token would go out unencrypted. */
export function serviceAccountOf(
  options: ServiceAccountOptions,
  around: Surroundings = here,
): ServiceAccount {
  const { url, isLocal } = checkedUrl(options.url ?? urlInCluster(around));
  const isPlain = url.startsWith("http:");
  if (isPlain && !isLocal) {
    throw new OomkitError(
      `cannot use the API server at ${url}: what is sent there is not encrypted`,
      "use https, or http to this machine as for kubectl proxy",
    );
  }
  const mounted = (name: string) => `${around.mount}/${name}`;
  const tokenFile = options.tokenFile ?? (isPlain ? undefined : mounted("token"));
  const caFile = options.caFile ?? (isPlain ? undefined : ifThere(mounted("ca.crt")));
  return {
    url,
    ...(tokenFile !== undefined && { tokenFile }),
    ...(caFile !== undefined && { caFile }),
  };
}

function urlInCluster({ env }: Surroundings): string {
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
  if (!URL.canParse(text)) throw wrong("it is no URL");
  const { protocol, username, password, search, hash, hostname, origin, pathname } = new URL(text);
  if (protocol !== "https:" && protocol !== "http:") throw wrong(`${protocol} is not http(s)`);
  if (username !== "" || password !== "") throw wrong("it has a password in it");
  if (search !== "" || hash !== "") throw wrong("it goes on after the path");
  const isLocal = hostname === "localhost" || hostname === "[::1]" || /^127\./.test(hostname);
  return { url: origin + pathname.replace(/\/+$/, ""), isLocal };
}

function ifThere(path: string): string | undefined {
  try {
    Deno.statSync(path);
    return path;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    // It is there, and reading it says what is wrong.
    return path;
  }
}
