/**
 * The guard's actions, one row each. An action is written `kind` or `kind:argument`. Pure.
 *
 * What runs an action is in core/guard/background_actions.ts, or in core/guard/thread/kill_executor.ts when it kills. The runners are
 * typed by this table, so the compiler finds an action that nothing runs.
 */

import { OomkitError } from "../errors.ts";
import { didYouMean, suggest } from "../suggest.ts";
import type { Level } from "./levels.ts";

/** The signals that a process can handle and survive; numbers of signal(7), the same on x86-64 and arm64. */
export const SIGNAL_NUMBERS = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGCONT: 18,
  SIGURG: 23,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
} as const;
export type SignalName = keyof typeof SIGNAL_NUMBERS;

interface ArgumentSpec {
  readonly name: string;
  readonly isOptional: boolean;
  /** It may contain commas: in a list of actions it takes the rest of the text. */
  readonly mayContainCommas: boolean;
  /** It may hold secrets and stays out of recordings. */
  readonly isSecret: boolean;
  /** Throws {@link OomkitError}. @param text what follows `kind:`; `undefined` without a colon. */
  parse(text: string | undefined, defaultSignal: SignalName): string;
}

interface CommonSpec {
  readonly argument?: ArgumentSpec;
  /** It affects the processes or the memory of the cgroup; refused in a tree that is not the kernel's. */
  readonly affectsCgroup: boolean;
  /** All outcomes of its `action` events. */
  readonly outcomes: readonly string[];
}

interface OtherSpec extends CommonSpec {
  /** `background`: by the main thread, as soon as the level is reached; `after_kill`: the same, but after the kill at a level that kills. */
  readonly runs: "never" | "background" | "after_kill";
}

interface KillSpec extends CommonSpec {
  /** By the monitor thread. */
  readonly runs: "kill";
  /** What it kills: the victim, with the rest of its memory.oom.group; or everything in the victim's container. */
  readonly killScope: "victim" | "container";
  /** Its name in oom-guard's events. */
  readonly oomGuardName: string;
}

type ActionSpec = OtherSpec | KillSpec;

const KILL = {
  runs: "kill",
  affectsCgroup: true,
  outcomes: ["killed", "survived", "dry_run", "failed"],
} as const;

export const ACTIONS = {
  noop: { runs: "never", affectsCgroup: false, outcomes: [] },
  /** To every process in the cgroup that handles the signal. */
  signal: {
    argument: {
      name: "SIG",
      isOptional: true,
      mayContainCommas: false,
      isSecret: false,
      parse: (text, defaultSignal) => text === undefined ? defaultSignal : parseSignal(text),
    },
    runs: "background",
    affectsCgroup: true,
    outcomes: ["signalled", "dry_run", "failed"],
  },
  reclaim: {
    runs: "background",
    affectsCgroup: true,
    outcomes: ["reclaimed", "dry_run", "failed"],
  },
  process: { ...KILL, killScope: "victim", oomGuardName: "Process" },
  container: { ...KILL, killScope: "container", oomGuardName: "Container" },
  /** Runs `sh -c COMMAND` with the event on stdin. */
  exec: {
    argument: {
      name: "COMMAND",
      isOptional: false,
      mayContainCommas: true,
      isSecret: true,
      parse(text) {
        if (text) return text;
        throw new OomkitError("exec: needs a command", "write exec:COMMAND");
      },
    },
    runs: "after_kill",
    affectsCgroup: false,
    outcomes: ["ok", "dry_run", "failed"],
  },
} as const satisfies Readonly<Record<string, ActionSpec>>;

export type ActionKind = keyof typeof ACTIONS;
export type ReportedAction = Exclude<ActionKind, "noop">;

type KindThatRuns<How> = {
  [Kind in ActionKind]: (typeof ACTIONS)[Kind]["runs"] extends How ? Kind : never;
}[ActionKind];
export type KillAction = KindThatRuns<"kill">;
export type BackgroundAction = KindThatRuns<"background" | "after_kill">;

/** Plain data, so that it can be sent to the monitor thread. */
export interface Action {
  readonly kind: ActionKind;
  readonly argument?: string;
}

export const ACTION_KINDS = Object.keys(ACTIONS) as ActionKind[];

export const actionSpec = (kind: ActionKind): ActionSpec => ACTIONS[kind];

export const isKillAction = (kind: ActionKind): kind is KillAction => ACTIONS[kind].runs === "kill";

export const KILL_ACTIONS = ACTION_KINDS.filter(isKillAction);

/** The same of each level. */
export function mapActions<From, To>(
  { warn, critical, imminent }: Readonly<Record<Level, readonly From[]>>,
  map: (action: From) => To,
): Record<Level, To[]> {
  const mapAll = (actions: readonly From[]) => actions.map((action) => map(action));
  return { warn: mapAll(warn), critical: mapAll(critical), imminent: mapAll(imminent) };
}

/** Of the actions at a level, the one that kills; a policy has at most one for each level. */
export function killActionOf(actions: readonly Action[]): KillAction | undefined {
  return actions.map(({ kind }) => kind).find(isKillAction);
}

/** The text that {@link parseActions} reads. */
export const actionText = ({ kind, argument }: Action): string =>
  argument === undefined ? kind : `${kind}:${argument}`;

/** The text for a recording, without an argument that may hold secrets. */
export const recordedActionText = (action: Action): string =>
  actionSpec(action.kind).argument?.isSecret ? action.kind : actionText(action);

/** An action of a recording; `noop` for one that this version does not know. */
export function recordedAction(text: string): Action {
  const [kind, argument] = splitOnce(text, ":");
  if (!isActionKind(kind)) return { kind: "noop" };
  return argument === undefined ? { kind } : { kind, argument };
}

/** How an action is written, for help texts: `signal[:SIG]`. */
export function actionSyntax(kind: ActionKind): string {
  const { argument } = actionSpec(kind);
  if (argument === undefined) return kind;
  return argument.isOptional ? `${kind}[:${argument.name}]` : `${kind}:${argument.name}`;
}

/** The beginning of an action, for shell completion: with the colon when an argument must follow. */
export function actionWord(kind: ActionKind): string {
  const { argument } = actionSpec(kind);
  return argument === undefined || argument.isOptional ? kind : `${kind}:`;
}

/** A comma-separated list. Throws {@link OomkitError}. @param defaultSignal of `signal` without an argument. */
export function parseActions(text: string, defaultSignal: SignalName): Action[] {
  const [kind] = splitOnce(text.trim(), ":");
  const takesRest = isActionKind(kind) && actionSpec(kind).argument?.mayContainCommas;
  const [first, rest] = takesRest ? [text] : splitOnce(text, ",");
  const action = parseAction(first, defaultSignal);
  return rest === undefined ? [action] : [action, ...parseActions(rest, defaultSignal)];
}

function parseAction(text: string, defaultSignal: SignalName): Action {
  const [kind, rest] = splitOnce(text.trim(), ":");
  if (isActionKind(kind)) {
    const { argument } = actionSpec(kind);
    if (argument) return { kind, argument: argument.parse(rest, defaultSignal) };
    if (rest === undefined) return { kind };
  }
  const known = `use ${ACTION_KINDS.map(actionSyntax).join(", ")}`;
  const near = isActionKind(kind) ? undefined : didYouMean(kind, ACTION_KINDS);
  throw new OomkitError(
    `"${text}" is not an action`,
    near === undefined ? known : `${near} (${known})`,
  );
}

/** `SIGUSR1` or `USR1`. Throws {@link OomkitError}. */
export function parseSignal(text: string): SignalName {
  const name = text.trim().toUpperCase();
  const names = Object.keys(SIGNAL_NUMBERS) as SignalName[];
  const found = names.find((each) => each === name || each === `SIG${name}`);
  if (found !== undefined) return found;
  if (/^(SIG)?(KILL|STOP)$/.test(name)) {
    throw new OomkitError(
      `cannot send "${text}": it cannot be handled`,
      "to kill use the action process or container",
    );
  }
  // Without the prefix that all have in common, which would make all of them alike.
  const [near] = suggest(name.replace(/^SIG/, ""), names.map((each) => each.slice(3)), 1);
  const known = `use one of ${names.join(", ")}`;
  throw new OomkitError(
    `cannot send "${text}"`,
    near === undefined ? known : `did you mean SIG${near}? (${known})`,
  );
}

const isActionKind = (text: string): text is ActionKind => Object.hasOwn(ACTIONS, text);

function splitOnce(text: string, separator: string): readonly [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
