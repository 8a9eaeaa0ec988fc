/** A guard as requested by the command line, the variables and the configuration, and as set up from it. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { GuardPolicy, PolicySet } from "../../core/guard/policy.ts";
import type { Scope } from "../../core/guard/targets.ts";
import type { ConfigFile } from "../config/config.ts";
import type { Rule } from "../config/rules.ts";
import { configFileOf, targetsOf } from "../options/subcommand.ts";
import { guardBase, type GuardFlags } from "./options.ts";

export interface GuardRequest {
  readonly targets: readonly string[];
  readonly flags: GuardFlags;
  readonly file: ConfigFile | undefined;
  readonly sourceOf: SourceOf;
}

/** Where the value of an option comes from, by its attribute name. */
export type SourceOf = (name: string) => string | undefined;

export interface GuardSetup {
  readonly policies: PolicySet;
  /** The policy of the cgroups that no rule matches. */
  readonly defaultPolicy: GuardPolicy;
  readonly rules: readonly Rule[];
  readonly scopes: readonly Scope[];
  readonly rescanMs: number;
  readonly rearmMs: number;
  readonly isPod: boolean;
  readonly protectedPids: ReadonlySet<number>;
  /** Of the hierarchy. */
  readonly version: 1 | 2;
  /** The directory of a cgroup; the cgroup path if the directory is unknown. */
  directoryOf(path: string): string;
}

export function guardRequestOf(
  command: CommandUnknownOpts,
  named: readonly string[],
  flags: GuardFlags,
): GuardRequest {
  return {
    targets: flags.pod ? named : targetsOf(command, named),
    flags,
    file: configFileOf(command),
    sourceOf: (name) => command.getOptionValueSource(name),
  };
}

/** Parses the same command line again, with the configuration file as it is now. */
export async function reparseGuardRequest(args: readonly string[]): Promise<GuardRequest> {
  const { promise, resolve } = Promise.withResolvers<GuardRequest>();
  const command = guardBase().argument("[targets...]").exitOverride()
    .action((named, flags, self) => resolve(guardRequestOf(self, named, flags)));
  await command.parseAsync([...args], { from: "user" });
  return await promise;
}
