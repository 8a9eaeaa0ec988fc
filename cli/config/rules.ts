/** `[[guard.rule]]`: which cgroups are guarded otherwise than the rest, and how. The first that fits holds. */

import { globToRegExp } from "../../core/cgroup/glob.ts";
import { suggest } from "../../core/suggest.ts";
import type { Rule as HeldRule, Selector } from "../../core/policy/rules.ts";
import {
  type ConfigFile,
  isTable,
  keyOf,
  mistakeAt,
  optionNamed,
  type Table,
  tableOf,
  valueOf,
} from "./config.ts";
import { guardBase, type GuardFlags } from "../guard/options.ts";
import { printable } from "../output/output.ts";

/** What a rule may say of the cgroups that it fits: the long names of guard's options. */
export const RULE_OPTIONS = [
  "warn",
  "critical",
  "margin-ratio",
  "min-margin",
  "max-margin",
  "metric",
  "on-warn",
  "on-critical",
  "on-imminent",
  "policy",
  "mode",
  "grace-period",
  "kill-timeout",
  "no-reclaim",
  "prefer",
  "avoid",
  "ignore",
  "soft-limit",
  "hysteresis",
  "cooldown",
  "repeat",
  "poll",
] as const;

/** What says where a rule holds; all that is given must fit. */
export const SELECTORS = ["cgroup", "unit", "pod-labels"] as const;

/** And what else it may have: its name, and that nothing is guarded where it fits. */
export const RULE_WORDS = ["name", "exempt"] as const;

export interface Rule extends Omit<HeldRule, "neverKills"> {
  /** Its own, or its number. */
  readonly name: string;
  /** Counted from 1. */
  readonly number: number;
  /** What it fits, in words for people. */
  readonly where: string;
  /** By the names that commander gives them. */
  readonly flags: Partial<GuardFlags>;
}

type Refuse = (key: string | undefined, what: string, right?: string) => never;

/** Throws {@link OomkitError} with the line of what cannot be meant. */
export function rulesOf(file: ConfigFile): Rule[] {
  const listed = tableOf(file, "guard")["rule"];
  if (listed === undefined) return [];
  if (!Array.isArray(listed) || !listed.every(isTable)) {
    throw mistakeAt(file, ["guard", "rule"], "rule is no list of tables", "write [[guard.rule]]");
  }
  const rules = listed.map((table: Table, at) =>
    ruleOf(table, at + 1, (key, what, right) => {
      throw mistakeAt(file, ["guard", "rule", at, ...key === undefined ? [] : [key]], what, right);
    })
  );
  for (const [at, { name }] of rules.entries()) {
    if (rules.findIndex((other) => other.name === name) === at) continue;
    throw mistakeAt(file, ["guard", "rule", at, "name"], `there is a rule "${name}" already`);
  }
  return rules;
}

function ruleOf(table: Table, number: number, refuse: Refuse): Rule {
  const definitions = guardBase();
  const flags: Record<string, unknown> = {};
  const known = [...RULE_WORDS, ...SELECTORS, ...RULE_OPTIONS.map((name) => keyOf(`--${name}`))];
  for (const [key, value] of Object.entries(table)) {
    if ([...RULE_WORDS, ...SELECTORS].some((word) => word === key)) continue;
    if (!RULE_OPTIONS.some((name) => name === key || name === `no-${key}`)) {
      const [near] = suggest(key, known, 1);
      const right = near === undefined ? `a rule has ${known.join(", ")}` : `did you mean ${near}?`;
      refuse(key, `a rule has no "${printable(key)}"`, right);
    }
    const report = (what: string, right?: string) => refuse(key, what, right);
    const option = optionNamed(definitions, key, report);
    flags[option.attributeName()] = valueOf(option, key, value, report);
  }
  const name = table["name"] ?? `rule ${number}`;
  if (typeof name !== "string" || name === "") return refuse("name", "name is a text");
  const exempt = table["exempt"] ?? false;
  if (typeof exempt !== "boolean") return refuse("exempt", "exempt is true or false");
  const policy = Object.keys(table).find((key) => RULE_OPTIONS.some((each) => each === key));
  if (exempt && policy !== undefined) {
    return refuse(policy, `${policy} means nothing where nothing is guarded`, "drop one of them");
  }
  return { name, number, isExempt: exempt, flags, ...placesOf(table, refuse) };
}

function placesOf(table: Table, refuse: Refuse): { selector: Selector; where: string } {
  const cgroups = textsOf(table, "cgroup", refuse);
  const units = textsOf(table, "unit", refuse);
  const labels = labelsOf(table, refuse);
  if (cgroups === undefined && units === undefined && labels === undefined) {
    return refuse(undefined, "the rule does not say where it holds", `add ${SELECTORS.join(", ")}`);
  }
  const relative = cgroups?.find((glob) => !glob.startsWith("/"));
  if (relative !== undefined) {
    refuse("cgroup", `"${printable(relative)}" is no path`, "begin with /, such as /kubepods/**");
  }
  const said = [
    ...cgroups ? [cgroups.join(" or ")] : [],
    ...units ? [`unit ${units.join(" or ")}`] : [],
    ...labels ? [`pods with ${labels.map(([key, value]) => `${key}=${value}`).join(", ")}`] : [],
  ];
  return {
    where: said.join(" and "),
    selector: {
      ...(cgroups ? { cgroups: cgroups.map(globToRegExp) } : {}),
      ...(units ? { units: units.map(globToRegExp) } : {}),
      ...(labels ? { labels } : {}),
    },
  };
}

function textsOf(table: Table, key: string, refuse: Refuse): string[] | undefined {
  const value = table[key];
  if (value === undefined) return undefined;
  const list = Array.isArray(value) ? value : [value];
  const isText = (item: unknown): item is string => typeof item === "string" && item !== "";
  if (list.length > 0 && list.every(isText)) return list;
  return refuse(key, `${key} is a text, or a list of texts`);
}

function labelsOf(table: Table, refuse: Refuse): [string, string][] | undefined {
  const value = table["pod-labels"];
  if (value === undefined) return undefined;
  const entries = isTable(value) ? Object.entries(value) : [];
  const isText = (entry: [string, unknown]): entry is [string, string] =>
    typeof entry[1] === "string";
  if (entries.length > 0 && entries.every(isText)) return entries;
  return refuse("pod-labels", "pod-labels is a table of texts", 'write { app = "postgres" }');
}
