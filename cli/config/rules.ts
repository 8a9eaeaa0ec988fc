/** `[[guard.rule]]`: options for some cgroups only. The first rule that matches a cgroup applies. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { globToRegExp } from "../../core/cgroup/glob.ts";
import { omitUndefined } from "../../core/omit_undefined.ts";
import type { Rule as PolicyRule, Selector } from "../../core/policy/rules.ts";
import { Mistakes } from "../../core/errors.ts";
import { suggest } from "../../core/suggest.ts";
import { detailsOf, keyOf } from "../options/option.ts";
import { printable } from "../output/output.ts";
import {
  type ConfigFile,
  isTable,
  mistakeAt,
  optionNamed,
  type Table,
  tableOf,
  valueOf,
} from "./config.ts";

/** The keys that select the cgroups of a rule; a cgroup must match all that are given. */
export const SELECTORS = ["cgroup", "unit", "pod-labels", "machine"] as const;

/** The keys that are neither selectors nor options. */
export const RULE_WORDS = ["name", "exempt"] as const;

/** The keys of the options of `guard` that a rule may set. */
export function ruleKeys(guard: Pick<CommandUnknownOpts, "options">): string[] {
  return guard.options.filter((option) => detailsOf(option)?.inRules).map((each) => keyOf(each)!);
}

export interface Rule extends Omit<PolicyRule, "neverKills"> {
  /** The one given, or `rule` with the number. */
  readonly name: string;
  /** Counted from 1. */
  readonly number: number;
  /** The selectors as text. */
  readonly where: string;
  /** By the names that commander gives them. */
  readonly flags: Readonly<Record<string, unknown>>;
}

/** @param key undefined for a mistake of the rule as a whole */
type Refuse = (key: string | undefined, what: string, right?: string) => never;

/**
 * Throws {@link OomkitError} with the line of each mistake.
 *
 * @param guard the command, for its options
 */
export function rulesOf(
  file: ConfigFile,
  guard: Pick<CommandUnknownOpts, "options">,
): Rule[] {
  const listed = tableOf(file, "guard")["rule"];
  if (listed === undefined) return [];
  if (!Array.isArray(listed) || !listed.every(isTable)) {
    throw mistakeAt(
      file,
      ["guard", "rule"],
      "rule must be a list of tables",
      "write [[guard.rule]]",
    );
  }
  const mistakes = new Mistakes();
  const rules = listed.map((table: Table, at) =>
    mistakes.check(() =>
      ruleOf(guard, table, at + 1, (key, what, right) => {
        const place = ["guard", "rule", at, ...key === undefined ? [] : [key]];
        throw mistakeAt(file, place, what, right);
      })
    )
  );
  for (const [at, rule] of rules.entries()) {
    if (rules.findIndex((other) => other?.name === rule?.name) === at) continue;
    if (rule === undefined) continue;
    mistakes.check(() => {
      const what = `the name "${rule.name}" is used twice`;
      throw mistakeAt(file, ["guard", "rule", at, "name"], what);
    });
  }
  mistakes.throwAny();
  return rules.filter((rule) => rule !== undefined);
}

function ruleOf(
  guard: Pick<CommandUnknownOpts, "options">,
  table: Table,
  number: number,
  refuse: Refuse,
): Rule {
  const mistakes = new Mistakes();
  const flags: Record<string, unknown> = {};
  const own: readonly string[] = [...RULE_WORDS, ...SELECTORS];
  const options = ruleKeys(guard);
  for (const [key, value] of Object.entries(table)) {
    if (!own.includes(key)) mistakes.check(() => read(key, value));
  }
  const name = mistakes.check(() => nameOf(table["name"] ?? `rule ${number}`));
  const isExempt = mistakes.check(() => exemptOf(table["exempt"] ?? false)) ?? false;
  const selected = mistakes.check(() => selectorOf(table, refuse));
  mistakes.throwAny();
  return { name: name!, number, isExempt, flags, ...selected! };

  function read(key: string, value: unknown): void {
    if (!options.includes(key.replace(/^no-/, ""))) {
      const known = [...own, ...options];
      const [near] = suggest(key, known, 1);
      const right = near === undefined
        ? `the keys of a rule are ${known.join(", ")}`
        : `did you mean ${near}?`;
      refuse(key, `a rule cannot set "${printable(key)}"`, right);
    }
    const refuseKey = (what: string, right?: string) => refuse(key, what, right);
    const option = optionNamed(guard, key, refuseKey);
    flags[option.attributeName()] = valueOf(option, key, value, refuseKey);
  }

  function nameOf(value: unknown): string {
    return typeof value === "string" && value !== ""
      ? value
      : refuse("name", "name must be a string");
  }

  function exemptOf(value: unknown): boolean {
    if (typeof value !== "boolean") return refuse("exempt", "exempt must be true or false");
    const policy = Object.keys(table).find((key) => options.includes(key.replace(/^no-/, "")));
    if (!value || policy === undefined) return value;
    return refuse(
      policy,
      `${policy} has no effect in a rule with exempt = true`,
      "drop one of them",
    );
  }
}

function selectorOf(table: Table, refuse: Refuse): { selector: Selector; where: string } {
  const cgroups = stringsOf(table, "cgroup", refuse);
  const units = stringsOf(table, "unit", refuse);
  const labels = labelsOf(table, refuse);
  const machine = table["machine"];
  if (machine !== undefined) {
    if (machine !== true) refuse("machine", "machine can only be true");
    if (cgroups || units || labels) {
      refuse("machine", "a rule for the machine selects no cgroups", "write a rule for each");
    }
    return { where: "the machine", selector: { machine } };
  }
  const where = [
    ...cgroups ? [cgroups.join(" or ")] : [],
    ...units ? [`unit ${units.join(" or ")}`] : [],
    ...labels ? [`pods with ${labels.map(([key, value]) => `${key}=${value}`).join(", ")}`] : [],
  ];
  if (where.length === 0) {
    return refuse(undefined, "the rule selects no cgroups", `add ${SELECTORS.join(", ")}`);
  }
  const relative = cgroups?.find((glob) => !glob.startsWith("/"));
  if (relative !== undefined) {
    refuse(
      "cgroup",
      `"${printable(relative)}" is not a cgroup path`,
      "begin with /, such as /kubepods/**",
    );
  }
  return {
    where: where.join(" and "),
    selector: omitUndefined({
      cgroups: cgroups?.map(globToRegExp),
      units: units?.map(globToRegExp),
      labels,
    }),
  };
}

function stringsOf(table: Table, key: string, refuse: Refuse): string[] | undefined {
  const value = table[key];
  if (value === undefined) return undefined;
  const list = Array.isArray(value) ? value : [value];
  const isText = (item: unknown): item is string => typeof item === "string" && item !== "";
  if (list.length > 0 && list.every(isText)) return list;
  return refuse(key, `${key} must be a string or a list of strings`);
}

function labelsOf(table: Table, refuse: Refuse): [string, string][] | undefined {
  const value = table["pod-labels"];
  if (value === undefined) return undefined;
  const entries = isTable(value) ? Object.entries(value) : [];
  const isText = (entry: [string, unknown]): entry is [string, string] =>
    typeof entry[1] === "string";
  if (entries.length > 0 && entries.every(isText)) return entries;
  return refuse(
    "pod-labels",
    "pod-labels must be a table of strings",
    'write pod-labels = { app = "postgres" }',
  );
}
