/** Events to a URL, one POST each. */

export interface Webhook {
  /** Queued; what does not fit is dropped and counted. */
  send(body: string): void;
  /** Waits for what is on its way, but not for long. */
  close(): Promise<void>;
}

const MOST_WAITING = 100;
/** Milliseconds. */
const TIMEOUT = 5000;

/** @param complain told once of each kind of failure. */
export function openWebhook(url: string, complain: (line: string) => void): Webhook {
  const queue: string[] = [];
  const told = new Set<string>();
  let working: Promise<void> | undefined;
  const complainOnce = (why: string) => {
    if (!told.has(why)) complain(`cannot report to ${url}: ${why}`);
    told.add(why);
  };
  const work = async () => {
    for (let body = queue.shift(); body !== undefined; body = queue.shift()) {
      try {
        const signal = AbortSignal.timeout(TIMEOUT);
        const headers = { "content-type": "application/json" };
        const answer = await fetch(url, {
          method: "POST",
          body,
          headers,
          signal,
          redirect: "error",
        });
        await answer.body?.cancel();
        if (!answer.ok) complainOnce(`it answered ${answer.status}`);
      } catch (error) {
        complainOnce(error instanceof Error ? error.message : String(error));
      }
    }
    working = undefined;
  };
  return {
    send(body) {
      if (queue.length >= MOST_WAITING) return complainOnce(`${MOST_WAITING} are waiting already`);
      queue.push(body);
      working ??= work();
    },
    async close() {
      await working;
    },
  };
}
