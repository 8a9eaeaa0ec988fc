import assert from "node:assert/strict";
import { openSdNotify } from "../../../core/control/sd_notify.ts";
import { libc } from "../../../core/kernel/libc.ts";
import { startDatagramReceiver } from "../../helpers/datagram_socket.ts";

// Loaded before the tests: within one, a library that stays loaded counts as a leak.
libc();

type Environment = Readonly<Record<string, string | undefined>>;

const NOT_SET: Environment = {
  NOTIFY_SOCKET: undefined,
  WATCHDOG_USEC: undefined,
  WATCHDOG_PID: undefined,
};

async function withEnvironment(environment: Environment, action: () => unknown): Promise<void> {
  const requested = Object.entries({ ...NOT_SET, ...environment });
  const before = requested.map(([name]) => [name, Deno.env.get(name)] as const);
  const put = (all: readonly (readonly [string, string | undefined])[]) => {
    for (const [name, value] of all) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  };
  put(requested);
  try {
    await action();
  } finally {
    put(before);
  }
}

/** Collects the timers that are started meanwhile; none of them runs by itself. */
function timers(): Disposable & { readonly started: { tick: () => void; ms: number }[] } {
  const real = globalThis.setInterval;
  const started: { tick: () => void; ms: number }[] = [];
  globalThis.setInterval = ((tick: () => void, ms: number) => {
    started.push({ tick, ms });
    return 0;
  }) as unknown as typeof setInterval;
  return { started, [Symbol.dispose]: () => void (globalThis.setInterval = real) };
}

Deno.test("without a usable NOTIFY_SOCKET there is no service manager", async () => {
  for (const NOTIFY_SOCKET of [undefined, "", `/${"x".repeat(200)}`]) {
    await withEnvironment({ NOTIFY_SOCKET }, () => {
      assert.equal(openSdNotify(), undefined);
    });
  }
});

Deno.test("the service manager gets readiness, the status in one line, and the end", async () => {
  await using manager = await startDatagramReceiver();
  await withEnvironment({ NOTIFY_SOCKET: manager.path }, async () => {
    const service = openSdNotify()!;
    service.ready("guarding 1 cgroup\nSTOPPING=1", () => true);
    assert.equal(await manager.next(), "READY=1\nSTATUS=guarding 1 cgroup STOPPING=1");
    service.stopping();
    assert.equal(await manager.next(), "STOPPING=1");
  });
});

Deno.test("the watchdog is notified at twice the required rate while the guard is alive", async () => {
  await using manager = await startDatagramReceiver();
  using clock = timers();
  const environment = {
    NOTIFY_SOCKET: manager.path,
    WATCHDOG_USEC: "20000000",
    WATCHDOG_PID: String(Deno.pid),
  };
  await withEnvironment(environment, async () => {
    let alive = true;
    const service = openSdNotify()!;
    service.ready("", () => alive);
    await manager.next();
    const [timer, ...others] = clock.started;
    assert.deepEqual([timer?.ms, others.length], [10_000, 0]);
    timer!.tick();
    assert.equal(await manager.next(), "WATCHDOG=1");
    alive = false;
    timer!.tick();
    service.stopping();
    assert.equal(await manager.next(), "STOPPING=1");
  });
});

Deno.test("a watchdog of another process, or without a time, is not notified", async () => {
  await using manager = await startDatagramReceiver();
  using clock = timers();
  const cases: Environment[] = [
    { WATCHDOG_USEC: undefined },
    { WATCHDOG_USEC: "0" },
    { WATCHDOG_USEC: "soon" },
    { WATCHDOG_USEC: "20000000", WATCHDOG_PID: String(Deno.ppid) },
  ];
  for (const environment of cases) {
    await withEnvironment({ NOTIFY_SOCKET: manager.path, ...environment }, () => {
      openSdNotify()!.ready("", () => true);
    });
    await manager.next();
    assert.deepEqual(clock.started, [], JSON.stringify(environment));
  }
});

Deno.test("the watchdog is not notified once the service stops", async () => {
  await using manager = await startDatagramReceiver();
  const environment = { NOTIFY_SOCKET: manager.path, WATCHDOG_USEC: "1000000000" };
  await withEnvironment(environment, () => {
    const service = openSdNotify()!;
    service.ready("", () => true);
    // A timer that stays would fail the test as a leak.
    service.stopping();
  });
});

Deno.test("a missing service manager does not keep the guard from running", async () => {
  await withEnvironment({ NOTIFY_SOCKET: "/nonexistent/notify" }, () => {
    const service = openSdNotify()!;
    service.ready("guard_armed", () => true);
    service.stopping();
  });
});
