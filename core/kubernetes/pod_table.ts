/** The pods of a node by uid. */

import { type Pod, sameLabels } from "./pod.ts";

export interface PodTable {
  /** By the uid in the names of its cgroups, or by the API server's. */
  get(uid: string): Pod | undefined;
  /** True when that is a change for those who choose by labels. */
  put(pod: Pod): boolean;
  remove(uid: string): boolean;
  replace(pods: readonly Pod[]): boolean;
  all(): Iterable<Pod>;
  readonly size: number;
}

export function makePodTable(): PodTable {
  const pods = new Map<string, Pod>();
  /** Static pods by the uid that the kubelet gave them; the first one that says so. */
  const mirrors = new Map<string, string>();

  const put = (pod: Pod) => {
    const before = pods.get(pod.uid);
    pods.set(pod.uid, pod);
    if (pod.cgroupUid !== pod.uid && !mirrors.has(pod.cgroupUid)) {
      mirrors.set(pod.cgroupUid, pod.uid);
    }
    return before === undefined || !sameLabels(before, pod);
  };
  const remove = (uid: string) => {
    const pod = pods.get(uid);
    if (pod === undefined) return false;
    pods.delete(uid);
    if (mirrors.get(pod.cgroupUid) === uid) mirrors.delete(pod.cgroupUid);
    return true;
  };
  return {
    // Its own uid first: what others say about theirs must not take it over.
    get: (uid) => pods.get(uid) ?? pods.get(mirrors.get(uid) ?? ""),
    put,
    remove,
    replace(now) {
      const uids = new Set(now.map(({ uid }) => uid));
      const gone = [...pods.keys()].filter((uid) => !uids.has(uid));
      const removed = gone.map(remove).length > 0;
      return now.map(put).some((changed) => changed) || removed;
    },
    all: () => pods.values(),
    get size() {
      return pods.size;
    },
  };
}
