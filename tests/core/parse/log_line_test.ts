import assert from "node:assert/strict";
import fc from "fast-check";
import { type LogLine, parseLogLine } from "../../../core/parse/log_line.ts";

/** When the file was changed last. */
const LATEST = new Date(2026, 2, 1, 12).getTime();
const local = (...parts: [number, number, number, number, number, number]) =>
  new Date(...parts).getTime();
const utc = (text: string) => Date.parse(text);

const kernel = (more: Partial<LogLine> = {}): LogLine => ({
  message: "msg",
  isKernel: true,
  ...more,
});

const LINES: readonly (readonly [line: string, expected: LogLine])[] = [
  // dmesg: plain, -r, -x, with the caller, -d, -T, --time-format iso, reltime.
  ["[  152.700479] msg", kernel({ uptime: 152700479n })],
  ["<4>[  152.700479] msg", kernel({ uptime: 152700479n })],
  ["<12>[  152.700479] msg", kernel({ uptime: 152700479n, isKernel: false })],
  ["kern  :warn  : [  152.700479] msg", kernel({ uptime: 152700479n })],
  ["user  :notice: [  152.700479] msg", kernel({ uptime: 152700479n, isKernel: false })],
  ["[  152.700479][   T88] msg", kernel({ uptime: 152700479n })],
  ["[  152.700479][    C1] msg", kernel({ uptime: 152700479n })],
  ["[  152.700479 <    0.000012>] msg", kernel({ uptime: 152700479n })],
  ["[Thu Dec  7 00:05:14 2017] msg", kernel({ at: local(2017, 11, 7, 0, 5, 14) })],
  ["[Do Dez  7 00:05:14 2017] msg", kernel()],
  [
    "2026-02-03T04:05:38,949401+01:00 msg",
    kernel({ at: utc("2026-02-03T03:05:38.949Z") }),
  ],
  ["[Feb27 10:11] msg", kernel()],
  ["[  +0.000012] msg", kernel()],
  ["[  152.700479]  msg", kernel({ uptime: 152700479n, message: " msg" })],
  ["[  152.700479]", kernel({ uptime: 152700479n, message: "" })],
  // syslog files.
  [
    "Feb 15 23:01:53 host kernel: [  152.700479] msg",
    kernel({
      host: "host",
      uptime: 152700479n,
      at: local(2026, 1, 15, 23, 1, 53),
      lacksYear: true,
    }),
  ],
  [
    "Feb  5 23:01:53 host kernel: msg\r",
    kernel({ host: "host", at: local(2026, 1, 5, 23, 1, 53), lacksYear: true }),
  ],
  [
    "Dec 31 23:59:59 host kernel: msg",
    kernel({ host: "host", at: local(2025, 11, 31, 23, 59, 59), lacksYear: true }),
  ],
  [
    "Feb 29 10:00:00 host kernel: msg",
    kernel({ host: "host", at: local(2024, 1, 29, 10, 0, 0), lacksYear: true }),
  ],
  [
    "2024-06-03T10:11:12.5+02:00 host kernel: [   12.000001] msg",
    kernel({ host: "host", uptime: 12000001n, at: utc("2024-06-03T08:11:12.5Z") }),
  ],
  [
    "<4>1 2024-06-03T10:11:12Z host kernel - - - msg",
    kernel({ host: "host", at: utc("2024-06-03T10:11:12Z") }),
  ],
  [
    "Feb 15 23:01:53 host kern.warn kernel: msg",
    kernel({ host: "host", at: local(2026, 1, 15, 23, 1, 53), lacksYear: true }),
  ],
  [
    "Feb 15 23:01:53 kernel: msg",
    kernel({ at: local(2026, 1, 15, 23, 1, 53), lacksYear: true }),
  ],
  [
    "Feb 15 23:01:53 host sshd[12]: msg",
    {
      message: "msg",
      isKernel: false,
      host: "host",
      at: local(2026, 1, 15, 23, 1, 53),
      lacksYear: true,
    },
  ],
  [
    "Thu Dec  7 00:05:14 2017 kern.err kernel: [  152.700479] msg",
    kernel({ uptime: 152700479n, at: local(2017, 11, 7, 0, 5, 14) }),
  ],
  // journalctl -o short-iso, short-full, short-unix, short-monotonic.
  [
    "2024-05-15T23:01:53+0200 host kernel: msg",
    kernel({ host: "host", at: utc("2024-05-15T21:01:53Z") }),
  ],
  [
    "Wed 2024-05-15 23:01:53 UTC host kernel: msg",
    kernel({ host: "host", at: utc("2024-05-15T23:01:53Z") }),
  ],
  ["1589583713.123456 host kernel: msg", kernel({ host: "host", at: 1589583713123.456 })],
  ["[  152.700479] host kernel: msg", kernel({ host: "host", uptime: 152700479n })],
  // Copies of /dev/kmsg.
  ["4,194131,2535251476,-;msg", kernel({ uptime: 2535251476n })],
  ["4,194131,2535251476,c;msg", kernel({ uptime: 2535251476n, continuation: true })],
  ["12,194131,2535251476,-;msg", kernel({ uptime: 2535251476n, isKernel: false })],
  // The facility is not the kernel's, whatever the tag says.
  [
    "<14>1 2024-05-15T23:01:53Z host kernel - - - msg",
    kernel({ host: "host", at: utc("2024-05-15T23:01:53Z"), isKernel: false }),
  ],
  [
    "<6>1 2024-05-15T23:01:53Z host kernel - - - msg",
    kernel({ host: "host", at: utc("2024-05-15T23:01:53Z") }),
  ],
  [
    "Thu Dec  7 00:05:14 2017 user.notice kernel: msg",
    kernel({ host: "user.notice", at: local(2017, 11, 7, 0, 5, 14), isKernel: false }),
  ],
  // A program's line of a log without hosts.
  [
    "2024-05-15T23:01:53Z app: kernel: msg",
    { message: "kernel: msg", isKernel: false, at: utc("2024-05-15T23:01:53Z") },
  ],
  // A crash left a block of NUL before the line.
  ["\0\0\0[  152.700479] msg", kernel({ uptime: 152700479n })],
];

for (const [line, expected] of LINES) {
  Deno.test(`the line ${JSON.stringify(line)} is read`, () => {
    assert.deepEqual(parseLogLine(line, LATEST), expected);
  });
}

const entry = (more: Record<string, unknown>) =>
  JSON.stringify({
    __REALTIME_TIMESTAMP: "1700000000000000",
    __MONOTONIC_TIMESTAMP: "9000000",
    _SOURCE_MONOTONIC_TIMESTAMP: "4000000",
    _TRANSPORT: "kernel",
    SYSLOG_FACILITY: "0",
    _HOSTNAME: "host",
    _BOOT_ID: "b",
    MESSAGE: "msg",
    ...more,
  });

Deno.test("an entry of the journal has the time at which the kernel logged it, not that at which journald read it", () => {
  assert.deepEqual(
    parseLogLine(entry({}), LATEST),
    kernel({ host: "host", boot: "b", at: 1_699_999_995_000, uptime: 4_000_000n }),
  );
});

Deno.test("an entry of a program is not the kernel's, also when it came through /dev/kmsg", () => {
  assert.equal(parseLogLine(entry({ SYSLOG_FACILITY: "3" }), LATEST)?.isKernel, false);
  assert.equal(parseLogLine(entry({ _TRANSPORT: "syslog" }), LATEST)?.isKernel, false);
});

Deno.test("a message that is not UTF-8 is an array of bytes in the journal", () => {
  const bytes = [...new TextEncoder().encode("caf"), 0xc3];
  assert.equal(parseLogLine(entry({ MESSAGE: bytes }), LATEST)?.message, "caf\ufffd");
});

Deno.test("a line of an OOM without any time is read, other text is not a log", () => {
  const killed = "Out of memory: Killed process 7 (x) total-vm:1kB";
  assert.deepEqual(parseLogLine(killed, LATEST), { message: killed, isKernel: true });
  for (const text of ["", "hello", "{", "{}", "[section]", "2024-06-03", "Mar 3 is a day"]) {
    assert.equal(parseLogLine(text, LATEST), undefined, text);
  }
});

Deno.test("a time without a year is at most a day after the file was changed, and less than a year before", () => {
  fc.assert(fc.property(
    fc.date({ min: new Date(2001, 0, 1), max: new Date(2037, 0, 1), noInvalidDate: true }),
    fc.integer({ min: 0, max: 363 }),
    (latest, days) => {
      const at = new Date(latest.getTime() - days * 86_400_000);
      at.setMilliseconds(0);
      const text = `${at.toString().slice(4, 10)} ${
        at.toTimeString().slice(0, 8)
      } host kernel: msg`;
      assert.equal(parseLogLine(text, latest.getTime())?.at, at.getTime());
    },
  ));
});

Deno.test("arbitrary text never throws, and a time is a number", () => {
  const piece = fc.constantFrom(
    "[",
    "]",
    " 12.345678",
    "Dec 31 23:59:59",
    "kernel: ",
    "<4>",
    "{",
    "2024-06-03T10:11:12",
  );
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.array(piece).map((all) => all.join("")));
  fc.assert(fc.property(text, (text) => {
    const at = parseLogLine(text, LATEST)?.at;
    assert.ok(at === undefined || Number.isFinite(at));
  }));
});
