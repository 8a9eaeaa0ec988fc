/** How kube-apiserver checks an Event of core/v1: decoding, and pkg/apis/core/validation/events.go. */

// deno-lint-ignore no-explicit-any
export type Json = any;

const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;
const STRINGS = ["reason", "message", "type", "reportingComponent", "reportingInstance", "action"];
const REFERENCE = [
  "kind",
  "namespace",
  "name",
  "uid",
  "apiVersion",
  "resourceVersion",
  "fieldPath",
];
const FIELDS = [
  ...STRINGS,
  ...["kind", "apiVersion", "metadata", "involvedObject", "count", "source", "eventTime"],
  ...["firstTimestamp", "lastTimestamp", "series", "related"],
];

/** Why it cannot be decoded (400). The server only warns of unknown fields; here they are errors. */
export function decodingFault(event: Json, namespace: string): string | undefined {
  const faults: string[] = [];
  const string = (at: Json, name: string) => {
    if (at?.[name] !== undefined && typeof at[name] !== "string") faults.push(`${name}: no string`);
  };
  if (event?.kind !== "Event" || event.apiVersion !== "v1") faults.push("no Event of v1");
  for (const name of Object.keys(event ?? {})) {
    if (!FIELDS.includes(name)) faults.push(`unknown field "${name}"`);
  }
  for (const name of Object.keys(event?.involvedObject ?? {})) {
    if (!REFERENCE.includes(name)) faults.push(`unknown field "involvedObject.${name}"`);
    string(event.involvedObject, name);
  }
  STRINGS.forEach((name) => string(event, name));
  ["component", "host"].forEach((name) => string(event?.source, name));
  if (!Number.isInteger(event?.count ?? 0) || event?.count >= 2 ** 31) {
    faults.push("count: no int32");
  }
  for (const name of ["firstTimestamp", "lastTimestamp", "eventTime"]) {
    const at = event?.[name];
    if (at === undefined || at === null) continue;
    if (typeof at !== "string" || !RFC_3339.test(at) || Number.isNaN(Date.parse(at))) {
      faults.push(`${name}: parsing time ${JSON.stringify(at)}`);
    }
  }
  if ((event?.metadata?.namespace ?? namespace) !== namespace) {
    faults.push("the namespace of the provided object does not match the namespace of the request");
  }
  return faults.length === 0 ? undefined : faults.join("; ");
}

/** Why it is refused (422), including fields that the server does not require but kubectl uses. */
export function validationFault(event: Json, namespace: string): string | undefined {
  const { metadata, involvedObject: involved = {}, eventTime } = event;
  const faults: string[] = [];
  const name = metadata?.name;
  if (typeof name !== "string" || !SUBDOMAIN.test(name) || name.length > 253) {
    faults.push(`metadata.name: Invalid value: ${JSON.stringify(name)}`);
  }
  const isAgreed = involved.namespace === undefined || involved.namespace === ""
    ? namespace === "default"
    : involved.namespace === namespace;
  if (!isAgreed) faults.push("involvedObject.namespace: does not match event.namespace");
  if (eventTime !== undefined && eventTime !== null) faults.push("action: Required value");
  if (!["Normal", "Warning"].includes(event.type)) faults.push("type: Invalid value");
  for (const field of ["kind", "name", "uid", "apiVersion"]) {
    if (!involved[field]) faults.push(`involvedObject.${field}: Required value`);
  }
  for (const field of ["reason", "message", "firstTimestamp", "lastTimestamp"]) {
    if (!event[field]) faults.push(`${field}: Required value`);
  }
  if ((event.reason ?? "").length > 128) faults.push("reason: can have at most 128 characters");
  if ((event.reportingInstance ?? "").length > 128) faults.push("reportingInstance: too long");
  // The limit for newer clients. oom-guard's JSON is longer, which is accepted without an eventTime.
  const bytes = new TextEncoder().encode(event.message ?? "").length;
  if (bytes > 1024 && !event.message.startsWith("{")) faults.push("message: over 1024 characters");
  if (!(event.count >= 1)) faults.push("count: must be at least 1");
  if (event.firstTimestamp > event.lastTimestamp) faults.push("lastTimestamp: before the first");
  return faults.length === 0 ? undefined : faults.join("; ");
}
