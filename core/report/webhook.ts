/** Events to a URL, one POST each. */

export interface Webhook {
  /** Queued; what does not fit is dropped, and that is told. */
  send(body: string): void;
  /** Waits for what is on its way, but not for long. */
  close(): Promise<void>;
}

const MOST_WAITING = 100;
const TIMEOUT_MS = 5000;

/**
 * @param complain told once of each kind of failure.
 * @param timeout milliseconds for one of them, and for all that are left in the end.
 */
export function openWebhook(
  url: string,
  complain: (line: string) => void,
  timeout = TIMEOUT_MS,
): Webhook {
  const queue: string[] = [];
  const told = new Set<string>();
  const ending = new AbortController();
  let working: Promise<void> | undefined;
  const complainOnce = (why: string) => {
    if (!told.has(why)) complain(`cannot report to ${url}: ${why}`);
    told.add(why);
  };
  const post = async (body: string) => {
    try {
      const answer = await fetch(url, {
        method: "POST",
        body,
        headers: { "content-type": "application/json" },
        signal: AbortSignal.any([AbortSignal.timeout(timeout), ending.signal]),
        redirect: "error",
      });
      await answer.body?.cancel();
      if (!answer.ok) complainOnce(`it answered ${answer.status}`);
    } catch (error) {
      complainOnce(error instanceof Error ? error.message : String(error));
    }
  };
  const work = async () => {
    for (let body = queue.shift(); body !== undefined; body = queue.shift()) await post(body);
    working = undefined;
  };
  return {
    send(body) {
      if (queue.length >= MOST_WAITING) return complainOnce(`${MOST_WAITING} are waiting already`);
      queue.push(body);
      working ??= work();
    },
    async close() {
      const giveUp = () => {
        if (queue.length > 0) complainOnce(`${queue.length} were waiting still`);
        queue.length = 0;
        ending.abort(new Error("the guard has ended"));
      };
      const timer = setTimeout(giveUp, timeout);
      await working;
      clearTimeout(timer);
    },
  };
}
