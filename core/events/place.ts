/** Where an event or a cgroup is in Kubernetes, by the names that cAdvisor and kube-state-metrics use as labels. Pure. */

import type { OomkitEvent } from "./event.ts";

/** What is not known is absent. */
export interface Place {
  readonly namespace?: string;
  readonly pod?: string;
  readonly container?: string;
  readonly node?: string;
}

/** The event with its place after the ids from which it follows. */
export function withPlace<E extends OomkitEvent>(event: E, place: Place): E {
  if (Object.keys(place).length === 0) return event;
  const { v, ts, cgroup, container_id, pod_uid, ...rest } = event;
  return { v, ts, cgroup, container_id, pod_uid, ...place, ...rest } as E;
}
