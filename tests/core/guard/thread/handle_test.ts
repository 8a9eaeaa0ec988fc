import assert from "node:assert/strict";
import { OutputClosed } from "../../../../cli/output/output.ts";
import { type GuardPolicy, singlePolicy } from "../../../../core/guard/policy.ts";
import { startMonitorThread } from "../../../../core/guard/thread/handle.ts";

class FakeWorker {
  static last: FakeWorker;
  onmessage?: (event: MessageEvent) => void;
  constructor() {
    FakeWorker.last = this;
  }
  postMessage() {}
  terminate() {}
}

Deno.test("an error of the report handler ends the guard, not the process", {
  ignore: Deno.build.os !== "linux",
  // The C library stays loaded.
  sanitizeResources: false,
}, async () => {
  const real = globalThis.Worker;
  globalThis.Worker = FakeWorker as unknown as typeof Worker;
  try {
    const thread = startMonitorThread(singlePolicy({} as GuardPolicy), "/dev/null/none", () => {
      throw new OutputClosed();
    });
    FakeWorker.last.onmessage!(new MessageEvent("message", { data: { type: "gone", id: 1 } }));
    await assert.rejects(thread.failed, OutputClosed);
    thread.close();
  } finally {
    globalThis.Worker = real;
  }
});
