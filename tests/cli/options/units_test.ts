import assert from "node:assert/strict";
import fc from "fast-check";
import {
  formatBytes,
  formatDuration,
  formatPercent,
  parseDuration,
  parseLimitSize,
  parsePercent,
  parseRate,
  parseSize,
  parseSizeOrPercent,
  shortBytes,
  shortRate,
  shortTime,
} from "../../../cli/options/units.ts";
import { OomkitError } from "../../../core/errors.ts";

/** The error quotes the text and has a hint. */
function refuses(parse: (text: string) => unknown, text: string, why = ""): void {
  assert.throws(() => parse(text), (error: unknown) => {
    assert.ok(error instanceof OomkitError, `${text}: ${error}`);
    assert.ok(error.message.includes(`"${text}"`) && error.message.includes(why), error.message);
    assert.ok(error.hint);
    return true;
  }, text);
}

const MIB = 1024 ** 2;

Deno.test("sizes are powers of 1024, however the unit is spelt", () => {
  for (
    const text of ["20M", "20m", "20MB", "20Mi", "20MiB", "20mib", "20 MiB", " 20M ", "20480K"]
  ) {
    assert.equal(parseSize(text), 20 * MIB, text);
  }
  assert.equal(parseSize("4096"), 4096);
  assert.equal(parseSize("123B"), 123);
  assert.equal(parseSize("0"), 0);
  assert.equal(parseSize("1.5G"), 1.5 * 1024 ** 3);
  assert.equal(parseSize("64 B"), 64);
  assert.equal(parseSize("2T"), 2 * 1024 ** 4);
  assert.equal(parseSize("7P"), 7 * 1024 ** 5);
  assert.equal(parseSize("0.0005K"), 0);
});

Deno.test("an invalid size is refused with a hint", () => {
  assert.throws(() => parseSize("20X"), {
    message: 'cannot read size "20X": unknown unit "X"; use bytes or K, M, G, T such as 512M',
  });
  refuses(parseSize, "-5M", "negative");
  refuses(parseSize, "1e99", "not a number");
  refuses(parseSize, "", "empty");
  refuses(parseSize, "  ", "empty");
  refuses(parseSize, "max", "a limit is needed");
  for (
    const text of [
      "NaN",
      "Infinity",
      "M",
      "1.M",
      ".5M",
      "1,5M",
      "0x10",
      "5 0M",
      "20Mo",
      "20iB",
      "20i",
    ]
  ) {
    refuses(parseSize, text);
  }
  refuses(parseSize, "1.5", "a number of bytes must be whole");
});

Deno.test("a bare number of less than a page is refused with what it is likely to mean", () => {
  const message = (parse: (text: string) => unknown, text: string) => {
    try {
      return String(parse(text));
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.equal(
    message(parseSize, "64"),
    'cannot read size "64": it means 64 bytes; did you mean 64M?',
  );
  assert.equal(message(parseSize, "1"), 'cannot read size "1": it means 1 byte; did you mean 1M?');
  assert.match(message(parseSize, " 4095 "), /it means 4095 bytes; did you mean 4095M\?$/);
  assert.match(message(parseSizeOrPercent, "100"), /did you mean 100% or 100M\?$/);
  assert.match(message(parseSizeOrPercent, "101"), /did you mean 101M\?$/);
  assert.match(message(parseRate, "10"), /it means 10 bytes a second; did you mean 10M\/s\?$/);
  assert.match(message(parseRate, "10 /s"), /did you mean 10M\/s\?$/);
  assert.match(message(parseLimitSize, "64"), /did you mean 64M\?$/);
  assert.match(message(parseLimitSize, "99999"), /did you mean 99999M\?$/);
  assert.equal(parseLimitSize("100000"), 100_000);
  assert.equal(parseRate("4096"), 4096);
  assert.equal(parseRate("10B/s"), 10);
});

Deno.test("2^53 bytes and more are refused, 2^53 - 1 is exact", () => {
  assert.equal(parseSize("9007199254740991"), Number.MAX_SAFE_INTEGER);
  for (const text of ["9007199254740992", "9223372036854775808", "8P", "99999999999999999999G"]) {
    refuses(parseSize, text, "it is too large");
  }
});

Deno.test("max means no limit only where it is allowed", () => {
  assert.equal(parseSize("max", { allowMax: true }), Infinity);
  assert.equal(parseSize("MAX", { allowMax: true }), Infinity);
  assert.equal(parseSize("1K", { allowMax: true }), 1024);
  refuses((text) => parseSize(text, { allowMax: true }), "maximum");
});

Deno.test("durations are in milliseconds and may combine units", () => {
  const cases = {
    "50ms": 50,
    "1s": 1000,
    "2m": 120_000,
    "1h30m": 5_400_000,
    "1.5s": 1500,
    "0": 0,
    "1d": 86_400_000,
  };
  for (const [text, expected] of Object.entries(cases)) {
    assert.equal(parseDuration(text), expected, text);
  }
  assert.equal(parseDuration("500us"), 0.5);
  assert.equal(parseDuration("1m 5s"), 65_000);
  assert.equal(parseDuration("0s"), 0);
});

Deno.test("an invalid duration is refused with a hint", () => {
  refuses(parseDuration, "5", "no unit; did you mean 5s or 5ms?");
  refuses(parseDuration, "30m1h", "out of order");
  refuses(parseDuration, "1s1s", "out of order");
  refuses(parseDuration, "5y", 'unknown unit "y"');
  refuses(parseDuration, "-1s", "negative");
  for (const text of ["", "s", "1e3s", "1s-", "1..5s", "ms1", "Infinity", `${"9".repeat(30)}d`]) {
    refuses(parseDuration, text);
  }
});

Deno.test("percentages need their sign and lie between 0 and 100", () => {
  assert.equal(parsePercent("65%"), 65);
  assert.equal(parsePercent("2.5 %"), 2.5);
  assert.equal(parsePercent("0%"), 0);
  assert.equal(parsePercent("100%"), 100);
  refuses(parsePercent, "65", "no % sign");
  refuses(parsePercent, "100.1%", "out of range");
  refuses(parsePercent, "-1%", "out of range");
  for (const text of ["", "%", "x%", "1e1%", "6 5%", "65%%"]) refuses(parsePercent, text);
});

Deno.test("a threshold is a size or a percentage", () => {
  assert.deepEqual(parseSizeOrPercent("480M"), { bytes: 480 * MIB });
  assert.deepEqual(parseSizeOrPercent("20%"), { percent: 20 });
  refuses(parseSizeOrPercent, "max");
  refuses(parseSizeOrPercent, "101%");
  refuses(parseSizeOrPercent, "90", "it means 90 bytes");
  assert.deepEqual(
    ["0", "4096", "90B"].map(parseSizeOrPercent),
    [0, 4096, 90].map((bytes) => ({ bytes })),
  );
});

Deno.test("a rate is bytes per second, with or without /s", () => {
  assert.equal(parseRate("10M/s"), 10 * MIB);
  assert.equal(parseRate("10MiB/S"), 10 * MIB);
  assert.equal(parseRate("10M"), 10 * MIB);
  refuses(parseRate, "0", "zero");
  refuses(parseRate, "10M/m");
  assert.throws(() => parseRate("x/s"), /^OomkitError: cannot read rate/);
});

Deno.test("bytes have one decimal, and unknown is not zero", () => {
  const cases: [number | undefined, string][] = [
    [undefined, "–"],
    [Infinity, "no limit"],
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [20866662, "19.9 MiB"],
    [1024 ** 2 - 1, "1.0 MiB"],
    [20 * MIB, "20.0 MiB"],
    [3 * 1024 ** 4, "3.0 TiB"],
    [-1.5 * MIB, "-1.5 MiB"],
  ];
  for (const [bytes, expected] of cases) assert.equal(formatBytes(bytes), expected);
});

Deno.test("durations are printed in a fitting unit and rounded without overflow", () => {
  const cases: [number | undefined, string][] = [
    [undefined, "–"],
    [0, "0.0 ms"],
    [0.7, "0.7 ms"],
    [99.96, "100 ms"],
    [999.6, "1.0 s"],
    [1234, "1.2 s"],
    [59_960, "1m 0s"],
    [125_000, "2m 5s"],
    [3_599_700, "1h 0m"],
    [5_400_000, "1h 30m"],
    [-1500, "-1.5 s"],
  ];
  for (const [milliseconds, expected] of cases) {
    assert.equal(formatDuration(milliseconds), expected);
  }
});

Deno.test("percentages have one decimal", () => {
  assert.equal(formatPercent(64.94), "64.9%");
  assert.equal(formatPercent(undefined), "–");
});

Deno.test("arbitrary text is a finite non-negative number or an OomkitError", () => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom(..."0123456789.-+eEkKmMgGtTiIbBsShd% /") }),
  );
  for (const parse of [parseSize, parseDuration, parsePercent, parseRate]) {
    fc.assert(fc.property(text, (text) => {
      try {
        const value = parse(text);
        assert.ok(Number.isFinite(value) && value >= 0);
      } catch (error) {
        if (!(error instanceof OomkitError)) throw error;
      }
    }));
  }
});

Deno.test("bytes and formatted sizes parse back, the latter to their precision", () => {
  fc.assert(fc.property(fc.nat(), fc.nat({ max: 4_000_000 }), (low, high) => {
    const bytes = high * 2 ** 31 + low;
    assert.equal(parseSize(`${bytes}B`), bytes);
    assert.ok(Math.abs(parseSize(formatBytes(bytes)) - bytes) <= Math.max(bytes * 0.05, 1));
  }));
});

Deno.test("formatted durations parse back to their precision", () => {
  fc.assert(fc.property(fc.double({ min: 0, max: 1e10, noNaN: true }), (milliseconds) => {
    const again = parseDuration(formatDuration(milliseconds));
    assert.ok(Math.abs(again - milliseconds) <= Math.max(milliseconds * 0.05, 0.05 + 1e-9));
  }));
});

Deno.test("sizes, rates and times are short", () => {
  const of = (values: number[], format: (value: number) => string) => values.map(format).join(" ");
  assert.equal(
    of([0, 999, 1000, 20 * 1024 ** 2, 999.6 * 1024 ** 2, 1.5 * 1024 ** 3], shortBytes),
    "0B 999B 1.0K 20.0M 1.0G 1.5G",
  );
  assert.equal(of([0.2, 12 * 1024, -12 * 1024], shortRate), "0/s +12.0K/s -12.0K/s");
  assert.equal(of([0.42, 12, 80, 200, 7300, 1e6, Infinity], shortTime), "0.4s 12s 80s 3m 2h 12d –");
  assert.equal(shortBytes(undefined) + shortRate(undefined) + shortTime(undefined), "–––");
});
