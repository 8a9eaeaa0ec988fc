import assert from "node:assert/strict";
import { makeEvent } from "../../../core/events/event.ts";
import { withPlace } from "../../../core/events/place.ts";

const event = makeEvent(0, "/a", "none", { type: "cgroup_created" });

Deno.test("the names of pod and node follow the ids, and what is not known is left out", () => {
  const located = withPlace(event, { namespace: "shop", pod: "web-0", node: "node-1" });
  assert.deepEqual(Object.keys(located), [
    ...["v", "ts", "cgroup", "container_id", "pod_uid"],
    ...["namespace", "pod", "node", "source", "type"],
  ]);
  assert.deepEqual([located.namespace, located.pod, located.node], ["shop", "web-0", "node-1"]);
});

Deno.test("outside of a cluster an event has no such fields", () => {
  assert.equal(withPlace(event, {}), event);
});
