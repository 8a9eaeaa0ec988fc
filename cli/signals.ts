/** The signals that a user or a supervisor sends to end a program. */
export const ENDING: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];

/** Calls `act` for each of `signals`; the returned function removes the handlers. */
export function onSignals(
  signals: readonly Deno.Signal[],
  act: (signal: Deno.Signal) => void,
): () => void {
  const handlers = signals.map((signal) => [signal, () => act(signal)] as const);
  for (const [signal, handler] of handlers) Deno.addSignalListener(signal, handler);
  return () => {
    for (const [signal, handler] of handlers) Deno.removeSignalListener(signal, handler);
  };
}
