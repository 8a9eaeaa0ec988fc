import assert from "node:assert/strict";
import { EPOLLET, EPOLLIN, joinEpoll, openEpoll } from "../../../core/kernel/epoll.ts";
import { openEventfd, signalEventfd } from "../../../core/kernel/fd.ts";
import { libc } from "../../../core/kernel/libc.ts";

// Loads the library before the tests: it stays loaded, which within a test would count as a leak.
libc();

const TOKEN = 7;

function tokensNow(block: (timeout: number) => { events: readonly { token: number }[] }) {
  return block(0).events.map(({ token }) => token);
}

for (const [how, flags, again] of [["each time", EPOLLET, []], ["for ever", 0, [TOKEN]]] as const) {
  Deno.test(`an unread eventfd wakes ${how}`, () => {
    using set = openEpoll();
    using eventfd = openEventfd();
    const { block } = joinEpoll(set.shared);
    // It may have been signalled before it was added.
    signalEventfd(eventfd);
    set.add(eventfd, EPOLLIN | flags, TOKEN);
    assert.deepEqual(tokensNow(block), [TOKEN]);
    assert.deepEqual(tokensNow(block), again);
    signalEventfd(eventfd);
    assert.deepEqual(tokensNow(block), [TOKEN]);
    set.remove(eventfd);
    signalEventfd(eventfd);
    assert.deepEqual(tokensNow(block), []);
  });
}
