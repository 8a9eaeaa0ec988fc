import assert from "node:assert/strict";
import fc from "fast-check";
import { identify, type Identity, unitPath } from "../../../core/cgroup/identity.ts";

const ID = "46b3e0a4df44b752b841aecca454e6e78995d567912a84950390bae6f6777a63";
const NODE = "663f6287c450aea2f849b82a30d1409059497b5de62846a286e55971d61e2650";
const UID = "94eb36cd-29e1-478b-b365-4cb5dfc7d6fb";
const UID_ = UID.replaceAll("-", "_");
const STATIC = "0e64e6e1a43e4b3722603a3cc2941fa5";

function check(cases: Record<string, Identity>): void {
  for (const [path, expected] of Object.entries(cases)) {
    assert.deepEqual(identify(path), expected, path);
  }
}

Deno.test("a container's scope yields its id and runtime, for every runtime", () => {
  for (const runtime of ["docker", "cri-containerd", "crio", "libpod", "nerdctl"]) {
    assert.deepEqual(identify(`/system.slice/${runtime}-${ID}.scope`), {
      containerId: ID,
      runtime,
    });
  }
});

Deno.test("with the cgroupfs driver the id is bare or follows the runtime", () => {
  check({
    [`/docker/${ID}`]: { containerId: ID, runtime: "docker" },
    [`/libpod_parent/libpod-${ID}`]: { containerId: ID, runtime: "libpod" },
    [`/k8s.io/${ID}`]: { containerId: ID, runtime: "containerd" },
    [`/ecs/4a7c/${ID}`]: { containerId: ID },
    [`/${ID}`]: { containerId: ID },
  });
});

Deno.test("a container of ctr may have any name, in the default namespace", () => {
  check({
    "/default/redis": { containerId: "redis", runtime: "containerd" },
    [`/default/${ID}`]: { containerId: ID, runtime: "containerd" },
    "/default": {},
    "/a/default/redis": {},
  });
});

Deno.test("conmon is a unit, not a container", () => {
  check({
    [`/machine.slice/libpod-conmon-${ID}.scope`]: { unit: `libpod-conmon-${ID}.scope` },
    [`/kubepods.slice/kubepods-pod${UID_}.slice/crio-conmon-${ID}.scope`]: {
      podUid: UID,
      qos: "guaranteed",
      unit: `crio-conmon-${ID}.scope`,
    },
    [`/libpod_parent/libpod-conmon-${ID}`]: {},
  });
});

Deno.test("crun's inner cgroup belongs to the container", () => {
  check({
    [`/machine.slice/libpod-${ID}.scope/container`]: { containerId: ID, runtime: "libpod" },
    [`/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope/container`]: {
      containerId: ID,
      runtime: "libpod",
      unit: "user@1000.service",
    },
  });
});

Deno.test("a container in a service's cgroup yields both", () => {
  check({
    [`/system.slice/web.service/libpod-payload-${ID}`]: {
      containerId: ID,
      runtime: "libpod",
      unit: "web.service",
    },
    [`/system.slice/docker-${ID}.scope/system.slice/nginx.service`]: {
      containerId: ID,
      runtime: "docker",
      unit: "nginx.service",
    },
    [`/system.slice/docker-${ID}.scope/a.slice`]: {
      containerId: ID,
      runtime: "docker",
      unit: "a.slice",
    },
  });
});

Deno.test("a pod of the systemd driver yields uid and quality of service, below any prefix", () => {
  const slices = (prefix: string, qos: string) =>
    `/${prefix}kubepods.slice/${prefix}kubepods${qos}.slice/${prefix}kubepods${qos}-pod${UID_}.slice`;
  check({
    [`${slices("", "-burstable")}/cri-containerd-${ID}.scope`]: {
      containerId: ID,
      runtime: "cri-containerd",
      podUid: UID,
      qos: "burstable",
    },
    [`${slices("", "-besteffort")}/crio-${ID}.scope`]: {
      containerId: ID,
      runtime: "crio",
      podUid: UID,
      qos: "besteffort",
    },
    [`/kubelet.slice${slices("kubelet-", "-burstable")}`]: {
      podUid: UID,
      qos: "burstable",
      unit: `kubelet-kubepods-burstable-pod${UID_}.slice`,
    },
    [`/kubepods.slice/kubepods-pod${UID_}.slice/docker-${ID}.scope`]: {
      containerId: ID,
      runtime: "docker",
      podUid: UID,
      qos: "guaranteed",
    },
  });
});

Deno.test("a pod of the cgroupfs driver yields the same", () => {
  check({
    [`/kubepods/burstable/pod${UID}/${ID}`]: { containerId: ID, podUid: UID, qos: "burstable" },
    [`/kubepods/besteffort/pod${UID}/crio-${ID}`]: {
      containerId: ID,
      runtime: "crio",
      podUid: UID,
      qos: "besteffort",
    },
    [`/any/prefix/kubepods/pod${UID}`]: { podUid: UID, qos: "guaranteed" },
    [`/elsewhere/pod${UID}`]: { podUid: UID },
  });
});

Deno.test("the uid of a static pod has no dashes and gets none", () => {
  check({
    [`/kubepods/burstable/pod${STATIC}`]: { podUid: STATIC, qos: "burstable" },
    [`/kubepods.slice/kubepods-pod${STATIC}.slice/crio-${ID}.scope`]: {
      containerId: ID,
      runtime: "crio",
      podUid: STATIC,
      qos: "guaranteed",
    },
  });
});

Deno.test("if kubelet and containerd use different drivers, one path element has pod and container", () => {
  check({
    [`/system.slice/containerd.service/kubepods-burstable-pod${UID_}.slice:cri-containerd:${ID}`]: {
      containerId: ID,
      runtime: "cri-containerd",
      podUid: UID,
      qos: "burstable",
      unit: "containerd.service",
    },
  });
});

Deno.test("of nested containers the innermost counts", () => {
  assert.equal(identify(`/docker/${NODE}/docker/${ID}`).containerId, ID);
});

Deno.test("a pod on a node that is itself a container is not that container", () => {
  const pod =
    `/docker/${NODE}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${UID_}.slice`;
  assert.equal(identify(pod).containerId, undefined);
  assert.equal(identify(pod).podUid, UID);
  assert.equal(identify(`${pod}/cri-containerd-${ID}.scope`).containerId, ID);
});

Deno.test("without a container the innermost unit counts, with its name as in systemd", () => {
  check({
    "/system.slice/ssh.service": { unit: "ssh.service" },
    "/system.slice/ssh.service/worker": { unit: "ssh.service" },
    "/system.slice/dev-disk-by\\x2duuid.swap": { unit: "dev-disk-by\\x2duuid.swap" },
    "/user.slice/user-0.slice/session-8.scope": { unit: "session-8.scope" },
    "/system.slice": { unit: "system.slice" },
    "/system.slice/_memory.slice": { unit: "memory.slice" },
  });
});

Deno.test("other paths yield nothing", () => {
  check({
    "/": {},
    "": {},
    "/oomkit-sim-1": {},
    [`/docker/${ID.slice(1)}`]: {},
    [`/docker/${ID.toUpperCase()}`]: {},
    [`/docker/${ID}0`]: {},
    "/service": {},
    "/podcast": {},
  });
});

Deno.test("arbitrary paths never throw, and an id is never invented", () => {
  const element = fc.oneof(
    fc.string(),
    fc.constantFrom(ID, `docker-${ID}.scope`, "default", "..", `pod${UID}`, ".service", "-.slice"),
  );
  fc.assert(fc.property(fc.array(element), (elements) => {
    const path = `/${elements.join("/")}`;
    const { containerId, unit } = identify(path);
    assert.ok(containerId === undefined || path.includes(containerId));
    assert.ok(unit === undefined || path.includes(unit));
  }));
});

Deno.test("the dashes of a slice name its parents", () => {
  assert.equal(unitPath("a-b-c.slice"), "/a.slice/a-b.slice/a-b-c.slice");
  assert.equal(unitPath("system.slice"), "/system.slice");
  assert.equal(unitPath("-.slice"), "/");
  assert.equal(unitPath("a\\x2db-c.slice"), "/a\\x2db.slice/a\\x2db-c.slice");
});

Deno.test("other units are in the system slice, instances in that of their template", () => {
  assert.equal(unitPath("foo.service"), "/system.slice/foo.service");
  assert.equal(unitPath("foo"), "/system.slice/foo.service");
  assert.equal(unitPath("var-lib.mount"), "/system.slice/var-lib.mount");
  assert.equal(unitPath("init.scope"), "/init.scope");
  assert.equal(
    unitPath("getty@tty1.service"),
    "/system.slice/system-getty.slice/getty@tty1.service",
  );
  assert.equal(
    unitPath("serial-getty@ttyS0.service"),
    "/system.slice/system-serial\\x2dgetty.slice/serial-getty@ttyS0.service",
  );
  assert.equal(unitPath("user@1000.service"), "/user.slice/user-1000.slice/user@1000.service");
});

Deno.test("the path of a unit identifies that unit", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9:.]{0,8}(-[a-z0-9]{1,5}){0,3}(@[a-z0-9]{1,5})?$/);
  const suffix = fc.constantFrom("service", "slice", "mount", "socket", "swap");
  fc.assert(fc.property(name, suffix, (name, suffix) => {
    const unit = `${name}.${suffix}`;
    assert.equal(identify(unitPath(unit)).unit, unit);
  }));
});
