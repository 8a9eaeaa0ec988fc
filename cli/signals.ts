/** The signals by which a person or a supervisor ends a program. */
export const ENDING: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];

/** Calls `act` for each of `signals`; the returned function takes the handlers off again. */
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
