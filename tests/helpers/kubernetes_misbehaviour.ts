/** Wrong answers of an API server, or of another server in its place. */

export type Misbehaviour =
  | "401"
  | "429"
  | "500"
  | "hang"
  | "garbage"
  | "endless"
  | "redirect"
  /** Breaks off in the middle of the answer. */
  | "half"
  /** Executes the request, then breaks off. */
  | "lost"
  | "terminating";

const encoder = new TextEncoder();

export function misbehaviour(
  wrong: Misbehaviour,
  right: () => Response,
  over: Promise<void>,
): Response {
  switch (wrong) {
    case "401":
      return status(401, "Unauthorized", "Unauthorized");
    case "429":
      return new Response("Too many requests, please try again later.\n", {
        status: 429,
        headers: { "retry-after": "1" },
      });
    case "500":
      return status(500, "InternalError", "etcdserver: request timed out");
    case "hang":
      return new Response("too late");
    case "garbage":
      return new Response("<html>\u001b[31mWelcome to the hotel's network", { status: 200 });
    case "endless": {
      const chunk = encoder.encode(`{"kind":"${"x".repeat(65_536)}`);
      let isOver = false;
      over.then(() => isOver = true);
      return new Response(
        new ReadableStream({
          pull: (controller) => isOver ? controller.close() : controller.enqueue(chunk),
        }),
      );
    }
    case "redirect":
      return new Response(null, { status: 307, headers: { location: "https://elsewhere.test/" } });
    case "half":
      return broken();
    case "lost":
      right();
      return broken();
    case "terminating": {
      const object = statusObject(403, "Forbidden", "namespace is being terminated");
      const causes = [{ reason: "NamespaceTerminating", field: "metadata.namespace" }];
      return Response.json({ ...object, details: { causes } }, { status: 403 });
    }
  }
}

function broken(): Response {
  let isBegun = false;
  return new Response(
    new ReadableStream({
      async pull(controller) {
        if (isBegun) {
          // The head must be sent before, or the client repeats the request.
          await new Promise((resolve) => setTimeout(resolve, 30));
          return controller.error(new Error("intended failure"));
        }
        isBegun = true;
        controller.enqueue(encoder.encode('{"kind":"Ev'));
      },
    }),
    { headers: { "content-type": "application/json" } },
  );
}

/** meta/v1 Status. */
export function statusObject(code: number, reason: string, message: string) {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    code,
    reason,
    message,
  };
}

export const status = (code: number, reason: string, message: string) =>
  Response.json(statusObject(code, reason, message), { status: code });
