/** Reads the fields of core/cgroup/fields.ts from the control files of one cgroup. Pure. */

import { parseBytes, parseCount, parseFlag, parseKeyed } from "../parse/cgroupfs.ts";
import {
  COUNTERS,
  type Field,
  FLAGS,
  LIMITS,
  SIZES,
  type Source,
  STATS,
  type Values,
} from "./fields.ts";
import type { ReadFile } from "./version.ts";

type Sources<Table> = readonly (readonly [name: keyof Table, source: Source])[];

/** Where one version keeps its fields, by table. */
export function fieldsOf(version: "v1" | "v2") {
  const sourcesIn = <Table extends Readonly<Record<string, Field>>>(table: Table) =>
    Object.entries(table).flatMap(([name, { [version]: source }]) =>
      source === undefined ? [] : [[name, source] as const]
    ) as Sources<Table>;
  return {
    sizes: sourcesIn(SIZES),
    limits: sourcesIn(LIMITS),
    stats: sourcesIn(STATS),
    counters: sourcesIn(COUNTERS),
    flags: sourcesIn(FLAGS),
  };
}

/** Reads and parses each keyed file once. Fields that are missing or are no number are absent. */
export class FieldReader {
  readonly #read: ReadFile;
  readonly #preferredPrefix: string;
  readonly #keyed = new Map<string, ReadonlyMap<string, string>>();

  /** @param preferredPrefix of a key: the row with it counts rather than the row without. */
  constructor(read: ReadFile, preferredPrefix = "") {
    this.#read = read;
    this.#preferredPrefix = preferredPrefix;
  }

  readonly bytes = <Table>(sources: Sources<Table>) => this.#values(sources, parseBytes);
  readonly counts = <Table>(sources: Sources<Table>) => this.#values(sources, parseCount);
  readonly flags = <Table>(sources: Sources<Table>) => this.#values(sources, parseFlag);

  #values<Table, Value>(
    sources: Sources<Table>,
    parse: (text: string | undefined) => Value | undefined,
  ): Values<Table, Value> {
    const values: { [name in keyof Table]?: Value } = {};
    for (const [name, source] of sources) {
      const value = parse(this.#text(source));
      if (value !== undefined) values[name] = value;
    }
    return values;
  }

  #text(source: Source): string | undefined {
    if (typeof source === "string") return this.#read(source);
    const [file, key] = source;
    let rows = this.#keyed.get(file);
    if (rows === undefined) this.#keyed.set(file, rows = parseKeyed(this.#read(file) ?? ""));
    return rows.get(this.#preferredPrefix + key) ?? rows.get(key);
  }
}
