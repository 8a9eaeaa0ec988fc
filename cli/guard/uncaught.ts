/** What goes wrong in a guard where nobody waits for it. */

export interface Faults {
  /** Rejects with the first one. */
  readonly thrown: Promise<never>;
  /** As if it had been thrown where nobody waits. */
  fail(error: unknown): void;
  /** Lets the next one end the process again. */
  off(): void;
}

/** Exceptions that nobody catches would end the process with everything as it was set. */
export function catchFaults(): Faults {
  const thrown = Promise.withResolvers<never>();
  thrown.promise.catch(() => {});
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    thrown.reject(event.error ?? event.message);
  };
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    thrown.reject(event.reason);
  };
  globalThis.addEventListener("error", onError);
  globalThis.addEventListener("unhandledrejection", onRejection);
  return {
    thrown: thrown.promise,
    fail: thrown.reject,
    off() {
      globalThis.removeEventListener("error", onError);
      globalThis.removeEventListener("unhandledrejection", onRejection);
    },
  };
}
