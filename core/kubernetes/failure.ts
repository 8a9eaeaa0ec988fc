/** What it means that the API server did not do what it was asked: one line, and whether to ask again. */

export interface Asked {
  /** The verb as RBAC names it. */
  readonly verb: "create" | "patch" | "list" | "watch";
  readonly resource: "events" | "pods";
  /** Absent: in all of them. */
  readonly namespace?: string;
}

export interface Failure {
  readonly is:
    /** Nobody, too late, or not the one whom the CA vouches for. */
    | "unreachable"
    | "unauthorized"
    | "forbidden"
    /** The namespace is about to go, and takes nothing new. */
    | "terminating"
    /** 404, said by an API server. */
    | "missing"
    | "exists"
    /** 410: the resource version is too old. */
    | "gone"
    /** Overloaded or out of order. */
    | "busy"
    /** It will never take it as it is. */
    | "refused"
    /** What came is not what an API server says. */
    | "garbage";
  readonly why: string;
  /** Milliseconds that it asked for. */
  readonly after?: number;
}

/** Of what the other side says; it can say as much as it likes. */
const MOST_SAID = 300;

/** @param said the body, as far as it was read. */
export function failureOf(
  asked: Asked,
  status: number,
  headers: Headers,
  said: string,
  url: string,
): Failure {
  const answer = readStatus(said);
  const message = answer?.message ?? "";
  const preferenceReason = message === "" ? "" : `: ${oneLine(message)}`;
  const after = retryAfter(headers);
  if (status >= 300 && status < 400) {
    const to = headers.get("location");
    return {
      is: "garbage",
      why: `it redirects${to ? ` to ${oneLine(to)}` : ""}, which is not followed`,
    };
  }
  if (status === 401) {
    return {
      is: "unauthorized",
      why: `401, the token is not accepted (expired, or another cluster's)${preferenceReason}`,
    };
  }
  if (answer === undefined && status < 500 && status !== 429) {
    return { is: "garbage", why: `${status} from something that is no API server at ${url}` };
  }
  switch (status) {
    case 403:
      return forbidden(asked, answer, preferenceReason);
    case 404:
      return { is: "missing", why: `404${preferenceReason}` };
    case 409:
      return answer?.reason === "AlreadyExists"
        ? { is: "exists", why: `409${preferenceReason}` }
        : { is: "busy", why: `409${preferenceReason}`, ...after };
    case 410:
      return { is: "gone", why: `410${preferenceReason}` };
    case 429:
      return { is: "busy", why: `429, it is asked too often${preferenceReason}`, ...after };
  }
  if (status >= 500) {
    return { is: "busy", why: `it answered ${status}${preferenceReason}`, ...after };
  }
  return { is: "refused", why: `it answered ${status}${preferenceReason}` };
}

function forbidden(asked: Asked, answer: Status | undefined, preferenceReason: string): Failure {
  if (answer?.causes.includes("NamespaceTerminating")) {
    return { is: "terminating", why: `403${preferenceReason}` };
  }
  const where = asked.namespace === undefined
    ? "in all namespaces"
    : `in namespace ${asked.namespace}`;
  return {
    is: "forbidden",
    why: `403, the service account may not ${asked.verb} ${asked.resource} ${where}; ` +
      `an RBAC rule is missing: apiGroups [""], resources ["${asked.resource}"], verbs ["${asked.verb}"]${preferenceReason}`,
  };
}

interface Status {
  readonly message: string;
  readonly reason: string;
  readonly causes: readonly string[];
}

/** meta/v1 Status, which is what an API server says when it does not do something. */
function readStatus(said: string): Status | undefined {
  const status = parseObject(said);
  if (status?.kind !== "Status") return undefined;
  const { message, reason } = status;
  const details = asObject(status.details)?.causes;
  return {
    message: typeof message === "string" ? message : "",
    reason: typeof reason === "string" ? reason : "",
    causes: Array.isArray(details) ? details.map((cause) => String(asObject(cause)?.reason)) : [],
  };
}

/** An ERROR in the midst of a watch. */
export function failureOfStatus(asked: Asked, object: unknown, url: string): Failure {
  const code = asObject(object)?.code;
  return failureOf(
    asked,
    typeof code === "number" ? code : 500,
    new Headers(),
    JSON.stringify(object) ?? "",
    url,
  );
}

function retryAfter(headers: Headers): { readonly after?: number } {
  const seconds = /^\d{1,6}$/.exec(headers.get("retry-after")?.trim() ?? "")?.[0];
  return seconds === undefined ? {} : { after: Number(seconds) * 1000 };
}

/**
 * Why `fetch` threw, without the URL, which the message names anyway.
 * @param authority whom the certificate should be signed by: "the CA in FILE".
 */
export function failureOfFetch(error: unknown, authority: string): Failure {
  const text = error instanceof Error ? error.message : String(error);
  const certificate = /invalid peer certificate: (.*)$/.exec(text)?.[1];
  if (certificate === "UnknownIssuer") {
    return { is: "unreachable", why: `its certificate is not signed by ${authority}` };
  }
  if (certificate !== undefined) {
    return { is: "unreachable", why: `its certificate is not valid: ${oneLine(certificate)}` };
  }
  const plain = text.replace(/^error sending request(?: for url \([^)]*\))?: /, "")
    .replace(/^client error \(\w+\): /, "").replace(/ \(os error \d+\)/, "");
  return { is: "unreachable", why: oneLine(plain) };
}

/** What is said by others in one line that is safe to show, and not too long. */
export function oneLine(text: string): string {
  const plain = text.toWellFormed().replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ").trim();
  return plain.length <= MOST_SAID ? plain : `${plain.slice(0, MOST_SAID - 1)}…`;
}

export type JsonObject = Readonly<Record<string, unknown>>;

export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as JsonObject
    : undefined;
}

export function parseObject(text: string): JsonObject | undefined {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return undefined;
  }
}
