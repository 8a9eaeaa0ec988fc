/** Sizes, durations, percentages and all other option values parse exactly or are refused with one line. */

import assert from "node:assert/strict";
import type { Option } from "@commander-js/extra-typings";
import { wholeProgram } from "../../cli/program.ts";
import { valueOf } from "../../cli/config/config.ts";
import { printable } from "../../cli/output/output.ts";
import {
  formatBytes,
  parseDuration,
  parsePercent,
  parseRate,
  parseSize,
  parseSizeOrPercent,
} from "../../cli/options/units.ts";
import { OomkitError } from "../../core/errors.ts";
import { fc } from "./cases.ts";

const PREFIXES = ["", "K", "M", "G", "T", "P"];
const TAILS = ["", "B", "i", "iB"];

const digits = (max: number) => fc.stringMatching(new RegExp(`^[0-9]{1,${max}}$`));

Deno.test("a size is its digits times its unit, rounded down to bytes, or too large", () => {
  const spelling = fc.record({
    whole: digits(8),
    fraction: fc.option(digits(6), { nil: "" }),
    power: fc.integer({ min: 1, max: 5 }),
    tail: fc.constantFrom(...TAILS),
    blank: fc.constantFrom("", " "),
    isLower: fc.boolean(),
  });
  fc.assert(fc.property(spelling, ({ whole, fraction, power, tail, blank, isLower }) => {
    const unit = `${PREFIXES[power]}${tail}`;
    const text = `${whole}${fraction && `.${fraction}`}${blank}${
      isLower ? unit.toLowerCase() : unit
    }`;
    const exact = BigInt(whole + fraction) * 1024n ** BigInt(power) /
      10n ** BigInt(fraction.length);
    if (exact >= 2n ** 53n) return assert.throws(() => parseSize(text), /it is too large/);
    const read = parseSize(text);
    assert.ok(Number.isSafeInteger(read), text);
    // The digits go through a binary fraction; a byte in 2^52 may be lost.
    const off = BigInt(read) - exact;
    assert.ok(off * off <= 1n, `${text} is ${exact}, read as ${read}`);
  }));
});

Deno.test("parsing keeps the order of two sizes in the same unit", () => {
  const size = fc.tuple(fc.nat(8191), fc.nat(999));
  fc.assert(fc.property(size, size, fc.constantFrom(..."KMGT"), (one, other, unit) => {
    const [small, large] = [one, other].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const read = ([whole, fraction]: readonly [number, number]) =>
      parseSize(`${whole}.${String(fraction).padStart(3, "0")}${unit}`);
    assert.ok(read(small!) <= read(large!));
  }));
});

Deno.test("a size or percentage parses as its own parser does", () => {
  const bytes = fc.oneof(fc.nat(), fc.nat(10_000));
  fc.assert(fc.property(bytes, fc.nat(100), (bytes, percent) => {
    // Less than a page without a unit was not meant as bytes.
    if (bytes > 0 && bytes < 4096) {
      assert.throws(() => parseSizeOrPercent(`${bytes}`), /did you mean/);
      assert.throws(() => parseRate(`${bytes}/s`), /did you mean/);
    } else assert.deepEqual(parseSizeOrPercent(`${bytes}`), { bytes });
    assert.deepEqual(parseSizeOrPercent(`${bytes}B`), { bytes });
    assert.deepEqual(parseSizeOrPercent(`${percent}%`), { percent });
    assert.equal(parsePercent(`${percent} %`), percent);
    if (bytes > 0) assert.equal(parseRate(`${bytes}B/s`), bytes);
  }));
});

Deno.test("a duration is the sum of its parts", () => {
  const part = fc.option(fc.nat(9999), { nil: undefined });
  const parts = fc.tuple(part, part, part, part, part);
  fc.assert(fc.property(parts, fc.constantFrom("", " "), (parts, blank) => {
    const units = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1000], ["ms", 1]];
    const given = units.flatMap(([unit, length], at) => {
      const amount = parts[at];
      return amount === undefined
        ? []
        : [{ text: `${amount}${unit}`, is: amount * Number(length) }];
    });
    fc.pre(given.length > 0);
    const text = given.map((each) => each.text).join(blank);
    assert.equal(parseDuration(text), given.reduce((sum, each) => sum + each.is, 0), text);
    assert.equal(parseDuration(text.toUpperCase()), parseDuration(text));
  }));
});

Deno.test("parts in another order are refused, because 30m1h is probably a mistake", () => {
  const units = ["d", "h", "m", "s", "ms", "us"];
  fc.assert(fc.property(fc.shuffledSubarray(units, { minLength: 2 }), (order) => {
    const isFalling = order.every((unit, at) =>
      at === 0 || units.indexOf(order[at - 1]!) < units.indexOf(unit)
    );
    const text = order.map((unit) => `1${unit}`).join("");
    if (isFalling) assert.ok(parseDuration(text) > 0);
    else assert.throws(() => parseDuration(text), OomkitError);
  }));
});

Deno.test("a formatted size is correct to its last digit and has the right unit", () => {
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => {
    const [number, unit] = formatBytes(bytes).split(" ");
    const power = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].indexOf(unit!);
    assert.ok(power >= 0 && Number(number) < 1024);
    assert.ok(Math.abs(Number(number) * 1024 ** power - bytes) <= 0.051 * 1024 ** power);
  }));
});

const program = await wholeProgram();
/** Every option that takes a value, with its command. */
const options: readonly { readonly name: string; readonly option: Option }[] = program.commands
  .flatMap((command) =>
    command.options.filter(({ required, optional }) => required || optional).map((option) => ({
      name: `${command.name()} ${option.long}`,
      option: option as Option,
    }))
  );

const value = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.constantFrom(..."0123456789.-+eEkKmMgGiIbBsShd% /,:=[]()") }),
  fc.constantFrom("signal:SIGKILL", "exec:", "exec:a,b", "65", "65%", "max", "1e99", "process,,"),
  fc.double(),
  fc.integer(),
);

Deno.test("any value of any option is accepted or refused without printing control characters", () => {
  fc.assert(fc.property(fc.constantFrom(...options), value, ({ name, option }, value) => {
    let why: string | undefined;
    try {
      valueOf(option, "key", value, (what) => {
        throw new OomkitError(what);
      });
    } catch (error) {
      if (!(error instanceof OomkitError)) throw error;
      why = error.message;
    }
    if (why !== undefined) assert.equal(why, printable(why), name);
  }));
});

Deno.test("an accepted number is finite and not negative", () => {
  fc.assert(fc.property(fc.constantFrom(...options), value, ({ name, option }, value) => {
    let accepted: unknown;
    try {
      accepted = valueOf(option, "key", value, (what) => {
        throw new OomkitError(what);
      });
    } catch {
      // The property above checks the refusal.
      return;
    }
    if (typeof accepted === "number") assert.ok(Number.isFinite(accepted) && accepted >= 0, name);
  }));
});
