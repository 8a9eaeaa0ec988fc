import assert from "node:assert/strict";
import { openJournald } from "../../../core/control/journald.ts";
import { libc } from "../../../core/kernel/libc.ts";
import { startDatagramReceiver } from "../../helpers/datagram_socket.ts";

// Loaded before the tests: within one, a library that stays loaded counts as a leak.
libc();

Deno.test("the journal is not waited for: an entry that it has no room for is refused", async () => {
  await using receiver = await startDatagramReceiver(false);
  using journald = openJournald(receiver.path)!;
  let sent = 0;
  // Full after net.unix.max_dgram_qlen entries, or after SO_SNDBUF bytes.
  while (journald.send("MESSAGE=a\n")) assert.ok(++sent < 100_000);
  assert.ok(sent > 0);
});

Deno.test("an entry that is larger than the socket's buffer is refused, and the next one is sent", async () => {
  await using receiver = await startDatagramReceiver();
  using journald = openJournald(receiver.path)!;
  assert.equal(journald.send(new Uint8Array(16 * 1024 ** 2)), false);
  assert.equal(journald.send("MESSAGE=a\n"), true);
  assert.equal(await receiver.next(), "MESSAGE=a\n");
});

Deno.test("an entry is refused without a journal", () => {
  using journald = openJournald("/nonexistent/socket")!;
  assert.equal(journald.send("MESSAGE=a\n"), false);
});
