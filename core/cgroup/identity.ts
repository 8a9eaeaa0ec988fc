/**
 * Container, pod and systemd unit of a cgroup, from its path alone: the container runtimes, the kubelet and systemd each name
 * cgroups by a fixed pattern, below any prefix. Pure.
 */

import { omitUndefined } from "../omit_undefined.ts";

export interface Identity {
  readonly containerId?: string;
  /** From the path: `docker`, `cri-containerd`, `crio`, `libpod`, `nerdctl`, `containerd`, …; absent for a bare id. */
  readonly runtime?: string;
  /** As in the Kubernetes API. The UID of a static pod is 32 hex digits without dashes. */
  readonly podUid?: string;
  /** The pod's. */
  readonly qos?: "guaranteed" | "burstable" | "besteffort";
  /** The innermost systemd unit; neither a container's own scope nor a slice around a container counts. */
  readonly unit?: string;
}

const UID = "[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}";
/** kubelet with the systemd driver; its `--cgroup-root` becomes a prefix (kind: `kubelet-kubepods-…`). */
const POD_SLICE = new RegExp(
  `(?:^|-)kubepods(?:-(burstable|besteffort))?-pod(${UID})\\.slice(?:$|:)`,
);
/** kubelet with the cgroupfs driver. */
const POD_DIRECTORY = new RegExp(`^pod(${UID})$`);

/**
 * `docker-ID.scope`, `libpod-ID`, `ID`. The colon form is containerd's when the kubelet uses the systemd driver and containerd the
 * cgroupfs driver: `kubepods-podUID.slice:cri-containerd:ID`.
 */
const CONTAINER = /^(?:(?:[^:]+:)?([a-z][a-z0-9_-]*?)[-:])?([0-9a-f]{64})(?:\.scope)?$/;

const UNIT = /\.(?:service|scope|slice|socket|mount|swap)$/;

function containerOf(
  elements: readonly string[],
  at: number,
): { id: string; runtime?: string } | undefined {
  const [, prefix, id] = CONTAINER.exec(elements[at]!) ?? [];
  const parent = elements[at - 1];
  if (id === undefined) {
    // `ctr run` takes any names: /<namespace>/<id>. Only the default namespace can be distinguished from any other directory.
    return at === 1 && parent === "default"
      ? { id: elements[at]!, runtime: "containerd" }
      : undefined;
  }
  if (prefix === undefined) {
    if (parent === "docker") return { id, runtime: "docker" };
    return parent === "default" || parent === "k8s.io" ? { id, runtime: "containerd" } : { id };
  }
  // conmon is podman's and CRI-O's monitor process outside the container; `libpod-payload-` comes from `--cgroups=split`.
  if (/(?:^|-)conmon$/.test(prefix)) return undefined;
  return { id, runtime: prefix === "libpod-payload" ? "libpod" : prefix };
}

function podOf(
  elements: readonly string[],
  at: number,
): Pick<Identity, "podUid" | "qos"> | undefined {
  const [, sliceQos = "guaranteed", sliceUid] = POD_SLICE.exec(elements[at]!) ?? [];
  if (sliceUid !== undefined) {
    return { podUid: sliceUid.replaceAll("_", "-"), qos: sliceQos as NonNullable<Identity["qos"]> };
  }
  const podUid = POD_DIRECTORY.exec(elements[at]!)?.[1];
  if (podUid === undefined) return undefined;
  const parent = elements[at - 1];
  if (parent === "burstable" || parent === "besteffort") return { podUid, qos: parent };
  return parent === "kubepods" ? { podUid, qos: "guaranteed" } : { podUid };
}

/** The last element for which `find` returns a value, and its index. */
function innermost<T>(
  elements: readonly string[],
  find: (elements: readonly string[], at: number) => T | undefined,
): { value: T; at: number } | undefined {
  for (let at = elements.length - 1; at >= 0; at--) {
    const value = find(elements, at);
    if (value !== undefined) return { value, at };
  }
  return undefined;
}

/** Of nested containers the innermost counts. A pod's own cgroup has no container, even if the node is a container. */
export function identify(cgroupPath: string): Identity {
  const elements = cgroupPath.split("/").filter((element) => element !== "");
  const pod = innermost(elements, podOf);
  const found = innermost(elements, containerOf);
  const container = found !== undefined && found.at >= (pod?.at ?? 0) ? found : undefined;
  const unit = innermost(elements, (all, at) => {
    const name = all[at]!;
    if (!UNIT.test(name) || containerOf(all, at) !== undefined) return undefined;
    if (container !== undefined && at < container.at && name.endsWith(".slice")) return undefined;
    // systemd prefixes `_` to names that begin with `_` or look like a control file (memory.slice).
    return name.replace(/^_/, "");
  });
  return omitUndefined({
    containerId: container?.value.id,
    runtime: container?.value.runtime,
    ...pod?.value,
    unit: unit?.value,
  });
}

function slicePath(slice: string): string {
  if (slice === "-.slice") return "";
  const parts = slice.slice(0, -".slice".length).split("-");
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("-")}.slice`).join("");
}

/** A name without a suffix is a service, as for systemctl. */
export const unitName = (unit: string): string => UNIT.test(unit) ? unit : `${unit}.service`;

/** The default cgroup of a systemd unit (systemd.slice(5), systemd.special(7)); used if systemd cannot be queried. */
export function unitPath(unit: string): string {
  const name = unitName(unit);
  if (name.endsWith(".slice")) return slicePath(name) || "/";
  if (name === "init.scope") return "/init.scope";
  const [, template, instance] = /^([^@]+)@(.+)\.service$/.exec(name) ?? [];
  if (template === undefined) return `/system.slice/${name}`;
  const slice = template === "user"
    ? `user-${instance}.slice`
    : `system-${template.replaceAll("-", "\\x2d")}.slice`;
  return `${slicePath(slice)}/${name}`;
}
