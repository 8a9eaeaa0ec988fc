/** Reads the fields of core/cgroup/fields.ts from the control files of one cgroup. Pure. */

import { parseCount, parseFlag, parseKeyed, parseLimit, parseSize } from "../parse/cgroupfs.ts";
import type { Fields, Source, Values } from "./fields.ts";
import type { ReadFile } from "./version.ts";

/** Reads and parses each keyed file once. Fields that are missing or are no number are absent. */
export class FieldReader {
  readonly #keyed = new Map<string, ReadonlyMap<string, string>>();

  /** @param preferredPrefix of a key: the row with it counts rather than the row without. */
  constructor(
    private readonly version: "v1" | "v2",
    private readonly read: ReadFile,
    private readonly preferredPrefix = "",
  ) {}

  readonly sizes = this.#valuesAs(parseSize);
  readonly limits = this.#valuesAs(parseLimit);
  readonly counts = this.#valuesAs(parseCount);
  readonly flags = this.#valuesAs(parseFlag);

  #valuesAs<Value>(parse: (text: string | undefined) => Value | undefined) {
    return <Table extends Fields>(table: Table): Values<Table, Value> => {
      const values: { [name in keyof Table]?: Value } = {};
      for (const name in table) {
        const source = table[name]![this.version];
        const value = source === undefined ? undefined : parse(this.#text(source));
        if (value !== undefined) values[name] = value;
      }
      return values;
    };
  }

  #text(source: Source): string | undefined {
    if (typeof source === "string") return this.read(source);
    const [file, key] = source;
    let rows = this.#keyed.get(file);
    if (rows === undefined) this.#keyed.set(file, rows = parseKeyed(this.read(file) ?? ""));
    return rows.get(this.preferredPrefix + key) ?? rows.get(key);
  }
}
