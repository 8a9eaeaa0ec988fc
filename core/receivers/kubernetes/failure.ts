/** Why the API server did not do what was requested: one line for the user, and a kind that decides about another attempt. */

import { errorText } from "../../errors.ts";
import { retryAfterMs } from "../delivery.ts";
import { asObject, parseObject } from "./json.ts";

export interface RequestTarget {
  /** As RBAC names it. */
  readonly verb: "create" | "patch" | "list" | "watch";
  readonly resource: "events" | "pods";
  /** Absent: all namespaces. */
  readonly namespace?: string;
}

export interface Failure {
  readonly is:
    /** No connection, a timeout, or a certificate that is not trusted. */
    | "unreachable"
    | "unauthorized"
    | "forbidden"
    /** The namespace is being deleted and accepts no new objects. */
    | "terminating"
    /** 404 from an API server. */
    | "missing"
    | "exists"
    /** 410: the resource version is too old. */
    | "gone"
    /** Overloaded or out of order. */
    | "busy"
    /** The server will never accept this request. */
    | "refused"
    /** The answer is not from an API server. */
    | "garbage";
  readonly why: string;
  /** Milliseconds that the server asked for. */
  readonly after?: number;
}

/** Of text from the server, which may be of any length. */
const MAX_SHOWN_CHARACTERS = 300;

/** @param body as far as it was read. */
export function failureOf(
  target: RequestTarget,
  status: number,
  headers: Headers,
  body: string,
  url: string,
): Failure {
  if (status >= 300 && status < 400) {
    const to = headers.get("location");
    const where = to ? ` to ${oneLine(to)}` : "";
    return { is: "garbage", why: `it redirects${where}, which is not followed` };
  }
  const answer = readStatus(body);
  const detail = answer?.message ? `: ${oneLine(answer.message)}` : "";
  if (status === 401) {
    return {
      is: "unauthorized",
      why: `401, the token is not accepted (expired, or of another cluster)${detail}`,
    };
  }
  if (answer === undefined && status < 500 && status !== 429) {
    return { is: "garbage", why: `${status} from a server that is not an API server at ${url}` };
  }
  const after = retryAfterMs(headers);
  const busy = (why: string): Failure => ({
    is: "busy",
    why,
    ...(after !== undefined && { after }),
  });
  switch (status) {
    case 403:
      return forbidden(target, answer, detail);
    case 404:
      return { is: "missing", why: `404${detail}` };
    case 409:
      return answer?.reason === "AlreadyExists"
        ? { is: "exists", why: `409${detail}` }
        : busy(`409${detail}`);
    case 410:
      return { is: "gone", why: `410${detail}` };
    case 429:
      return busy(`429, too many requests${detail}`);
  }
  const why = `it answered ${status}${detail}`;
  return status >= 500 ? busy(why) : { is: "refused", why };
}

function forbidden(target: RequestTarget, answer: Status | undefined, detail: string): Failure {
  if (answer?.causes.includes("NamespaceTerminating")) {
    return { is: "terminating", why: `403${detail}` };
  }
  const { verb, resource, namespace } = target;
  const where = namespace === undefined ? "in all namespaces" : `in namespace ${namespace}`;
  return {
    is: "forbidden",
    why: `403, the service account may not ${verb} ${resource} ${where}; ` +
      `an RBAC rule is missing: apiGroups [""], resources ["${resource}"], verbs ["${verb}"]${detail}`,
  };
}

interface Status {
  readonly message: string;
  readonly reason: string;
  readonly causes: readonly string[];
}

/** meta/v1 Status, the body of an API server's refusal. */
function readStatus(body: string): Status | undefined {
  const status = parseObject(body);
  if (status?.kind !== "Status") return undefined;
  const { message, reason } = status;
  const causes = asObject(status.details)?.causes;
  return {
    message: typeof message === "string" ? message : "",
    reason: typeof reason === "string" ? reason : "",
    causes: Array.isArray(causes) ? causes.map((cause) => String(asObject(cause)?.reason)) : [],
  };
}

/** Of an ERROR event within a watch. */
export function failureOfStatus(target: RequestTarget, object: unknown, url: string): Failure {
  const code = asObject(object)?.code;
  const status = typeof code === "number" ? code : 500;
  return failureOf(target, status, new Headers(), JSON.stringify(object) ?? "", url);
}

/**
 * Of an exception of `fetch`, without the URL, which the caller's message has.
 *
 * @param authority expected signer of the certificate: "the CA in FILE".
 */
export function failureOfFetch(error: unknown, authority: string): Failure {
  const text = errorText(error);
  const certificate = /invalid peer certificate: (.*)$/.exec(text)?.[1];
  if (certificate === "UnknownIssuer") {
    return { is: "unreachable", why: `its certificate is not signed by ${authority}` };
  }
  if (certificate !== undefined) {
    return { is: "unreachable", why: `its certificate is not valid: ${oneLine(certificate)}` };
  }
  const plain = text.replace(/^error sending request(?: for url \([^)]*\))?: /, "")
    .replace(/^client error \(\w+\): /, "");
  return { is: "unreachable", why: oneLine(plain) };
}

/** Text from the server as one bounded line without control characters. */
export function oneLine(text: string): string {
  const plain = text.toWellFormed().replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ").trim();
  return plain.length <= MAX_SHOWN_CHARACTERS
    ? plain
    : `${plain.slice(0, MAX_SHOWN_CHARACTERS - 1)}…`;
}
