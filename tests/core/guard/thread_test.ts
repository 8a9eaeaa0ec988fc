import assert from "node:assert/strict";
import { type GuardPlan, onePlan } from "../../../core/guard/plan.ts";
import { startSentryThread } from "../../../core/guard/thread.ts";
import { OutputClosed } from "../../../cli/output.ts";

class FakeWorker {
  static last: FakeWorker;
  onmessage?: (event: MessageEvent) => void;
  constructor() {
    FakeWorker.last = this;
  }
  postMessage() {}
  terminate() {}
}

Deno.test("a report that nobody can take ends the guard by its own error, not the process", {
  ignore: Deno.build.os !== "linux",
  // The C library stays loaded.
  sanitizeResources: false,
}, async () => {
  const real = globalThis.Worker;
  globalThis.Worker = FakeWorker as unknown as typeof Worker;
  try {
    const thread = startSentryThread(onePlan({} as GuardPlan), "/dev/null/none", () => {
      throw new OutputClosed();
    });
    FakeWorker.last.onmessage!(new MessageEvent("message", { data: { say: "gone", id: 1 } }));
    await assert.rejects(thread.failed, OutputClosed);
    thread.close();
  } finally {
    globalThis.Worker = real;
  }
});
