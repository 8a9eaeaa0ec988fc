/** `oomkit inspect`: what is the limit here, who set it, how much is left, who would die. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover, type Hierarchy, onHost } from "../../core/cgroup/hierarchy.ts";
import { inspect, type Inspection } from "../../core/cgroup/inspection.ts";
import { type Machine, readMachine } from "../../core/cgroup/machine.ts";
import { type Requirement, REQUIREMENTS } from "../../core/cgroup/requirements.ts";
import { ownCgroup, resolveTarget } from "../../core/cgroup/resolve.ts";
import { type CgroupTree, readSubtree } from "../../core/cgroup/subtree.ts";
import { OomkitError, shortened } from "../../core/errors.ts";
import { inspectDocument } from "../../core/events/inspect.ts";
import { toJson } from "../../core/events/json.ts";
import { CI_SERVICES, withoutCommands } from "../output/annotate.ts";
import { check, checkLines } from "./check.ts";
import { type CheckOutput, openCheckOutput } from "./ci.ts";
import { nodeLines } from "./text.ts";
import { inspectionLines } from "./text.ts";
import { treeLines } from "./tree.ts";
import type { UsageSample } from "../terminal/layout.ts";
import type { ExitCode, Finish } from "../exit.ts";
import { withHelp } from "../options/help.ts";
import {
  choice,
  flag,
  type FlagsOf,
  list,
  oneOf,
  parseWhole,
  separated,
  value,
} from "../options/option.ts";
import { type Common, subcommand, wantsJson } from "../options/subcommand.ts";
import { createProgress, type Progress, terminalOutput } from "../terminal/progress.ts";
import { print, printable, printStderr } from "../output/output.ts";
import { FORCE_OPTION } from "../options/record.ts";
import { chooseStyle, terminalWidth } from "../terminal/style.ts";
import { parseSizeOrPercent } from "../options/units.ts";

const requirements = Object.keys(REQUIREMENTS) as Requirement[];

const CONTENTS = { group: "contents", isBasic: true } as const;
const CHECK = { group: "check" } as const;
const BASIC_CHECK = { ...CHECK, isBasic: true } as const;
const PICTURE = { group: "recording" } as const;

const INSPECT_OPTIONS = {
  tree: flag("--tree", "show a table of all descendants, the largest cgroups first", CONTENTS),
  depth: value("--depth <levels>", "levels of the tree (default: all; 2 for the whole machine)", {
    ...CONTENTS,
    parse: parseWhole(0),
  }),
  top: value("--top <count>", "children of each cgroup to show (default: 10; all in JSON)", {
    ...CONTENTS,
    parse: parseWhole(1),
  }),
  processes: value("--processes <count>", "processes to show, or all (default: 8; all in JSON)", {
    ...CONTENTS,
    parse: (text) => text === "all" ? Infinity : parseWhole(0)(text),
  }),
  check: flag("--check", "check requirements: exit 0 met, 1 not met, 2 unknown", BASIC_CHECK),
  minHeadroom: value("--min-headroom <amount>", "minimum headroom, such as 512M or 20%", {
    ...BASIC_CHECK,
    parse: parseSizeOrPercent,
  }),
  maxUsage: value("--max-usage <amount>", "maximum usage, such as 80% or 1G", {
    ...BASIC_CHECK,
    parse: parseSizeOrPercent,
  }),
  require: list("--require <requirements>", "required properties, such as limit,psi (see --help)", {
    ...BASIC_CHECK,
    words: requirements,
    isClosed: true,
    parse: separated(oneOf(requirements)),
  }),
  annotate: choice(
    "--annotate <service>",
    "print findings as annotations of a CI service, on stderr",
    { ...CHECK, choices: CI_SERVICES },
  ),
  junit: value("--junit <file>", "write findings to this file as JUnit XML", CHECK),
  html: value("--html <file>", "draw a recording, or with --tree the tree, as an HTML page", {
    ...PICTURE,
    isBasic: true,
  }),
  svg: value("--svg <file>", "draw a recording, or with --tree the tree, as an SVG image", PICTURE),
  ...FORCE_OPTION,
};

type Options = Common & FlagsOf<typeof INSPECT_OPTIONS>;

export function inspectBase() {
  const command = subcommand(
    "inspect",
    "show limits, the cgroups that set them, headroom, and the likeliest victim",
    INSPECT_OPTIONS,
  ).argument("[target...]", "cgroup path, glob, pid:N, unit:NAME, pod:UID or container id");
  return withHelp(command, {
    examples: [
      "oomkit inspect",
      "oomkit inspect my.service pid:4242 --json",
      "oomkit inspect /kubepods --check --min-headroom 20% --require limit,psi",
    ],
    notes: requirementHelp() + CI_HELP,
    exitStatus: {
      "0": "all targets are shown; with --check: the requirements are met",
      "1": "with --check: a requirement is not met",
      "2": "a target cannot be inspected, or a requirement cannot be checked",
    },
  });
}

export function inspectCommand(finish: Finish) {
  return inspectBase()
    .action(async (targets, options, command) => {
      const given = (name: string) => command.getOptionValueSource(name) === "cli";
      const idle = ["minHeadroom", "maxUsage", "require", "annotate", "junit"].find(given);
      if (idle !== undefined && !options.check) {
        throw new OomkitError(`cannot use --${kebab(idle)} alone: it is a check`, "add --check");
      }
      const pictures = options.html === undefined && options.svg === undefined
        ? undefined
        : await import("./picture.ts");
      // A variable may be meant for another call.
      const isMeant = given("html") || given("svg") || pictures?.isRecordingAt(targets);
      if (pictures && isMeant && !options.tree) {
        return finish(await pictures.drawRecording(targets, options));
      }
      if (isRecordingName(targets)) {
        throw new OomkitError(
          `cannot inspect ${
            printable(shortened(targets[0]!))
          } as a cgroup: it is a recording by its name`,
          "draw it by --html FILE or --svg FILE, or run it again: oomkit simulate --replay FILE",
        );
      }
      const node = targets.length === 0 && options.root === undefined && onHost();
      const ofTree = ["depth", "top"].find(given);
      // The machine is shown as a tree anyway.
      if (ofTree !== undefined && !options.tree && !node) {
        throw new OomkitError(`cannot use --${ofTree} alone: it is of a tree`, "add --tree");
      }
      const drawing = options.tree && pictures?.openTreePicture(options);
      try {
        const code = run(targets, node, options, drawing?.show);
        await drawing?.write();
        finish(code);
      } finally {
        drawing?.drop();
      }
    });
}

function requirementHelp(): string {
  const width = Math.max(...requirements.map((name) => name.length));
  const lines = requirements.map((name) => `  ${name.padEnd(width)}  ${REQUIREMENTS[name]}`);
  return `Requirements of --require:\n${lines.join("\n")}`;
}

const CI_HELP = `

In CI: --annotate github shows findings on the page of the run, gitlab as a
section of the job's log. GitLab's pages show the file of --junit when it is
named under artifacts:reports:junit.`;

/** No cgroup that anybody has met is called so. */
const isRecordingName = (names: readonly string[]) =>
  names.length === 1 && /\.jsonl(\.gz)?$/.test(names[0]!);

const kebab = (name: string) =>
  name.replace(/[A-Z]/g, (httpMessage) => `-${httpMessage.toLowerCase()}`);

interface Shown {
  readonly inspection: Inspection;
  readonly tree?: CgroupTree;
}

/** Whoever shows the same in another way. */
export type AlsoShow = (cgroups: readonly Cgroup[], machine: Machine) => void;

/** @param node the whole machine is meant. */
function run(
  names: readonly string[],
  node: boolean,
  options: Options,
  alsoShow?: AlsoShow,
): ExitCode {
  if (options.check && !options.minHeadroom && !options.maxUsage && !options.require) {
    throw new OomkitError(
      "cannot check: nothing is asked for",
      "add --min-headroom, --max-usage or --require",
    );
  }
  using telling = options.check ? openCheckOutput(options) : undefined;
  try {
    return show(names, node, options, telling, alsoShow);
  } catch (error) {
    telling?.fail(error);
    throw error;
  }
}

function show(
  names: readonly string[],
  node: boolean,
  options: Options,
  telling: CheckOutput | undefined,
  alsoShow: AlsoShow | undefined,
): ExitCode {
  const service = options.check && options.annotate;
  const hierarchy = discover(options.root);
  const said: string[] = [];
  const progress = createProgress(terminalOutput());
  const shown = collect(hierarchy, names, node, options, progress, (line) => {
    said.push(line);
    progress.hide();
    printStderr(withoutCommands(service, `oomkit: ${printable(line)}`));
  });
  progress.end();
  const machine = readMachine();
  alsoShow?.(shown.map(({ inspection }) => inspection.cgroup), machine);
  const look: UsageSample = { style: chooseStyle(options.color), width: terminalWidth() };
  const checked = options.check
    ? check(
      { ...options, require: options.require ?? [] },
      shown.map(({ inspection }) => inspection),
      machine,
      { wholeMachine: node, missing: said },
    )
    : undefined;

  try {
    if (wantsJson(options)) {
      const found = { at: Date.now(), hierarchy, machine, targets: shown };
      const document = toJson(inspectDocument(checked ? { ...found, checked } : found), 2);
      print(withoutCommands(service, document));
    } else if (checked) {
      print(withoutCommands(service, checkLines(checked, look.style).join("\n")));
    } else {
      const blocks = shown.map(({ inspection, tree }) =>
        node && tree
          ? nodeLines(inspection, tree, machine, look)
          : tree
          ? treeLines(tree, look)
          : inspectionLines(inspection, machine, look)
      );
      if (blocks.length > 0) print(blocks.map((lines) => lines.join("\n")).join("\n\n"));
    }
  } finally {
    // Also where nobody reads stdout any more.
    if (checked) telling?.tell(checked);
  }
  if (checked) return { ok: 0, not_ok: 1, unknown: 2 }[checked.verdict];
  return said.length > 0 ? 2 : 0;
}

/** What can be shown is shown; each target that cannot gets its line. */
function collect(
  hierarchy: Hierarchy,
  names: readonly string[],
  node: boolean,
  options: Options,
  progress: Progress,
  warn: (line: string) => void,
): Shown[] {
  const shown: Shown[] = [];
  let read = 0;
  const count = () => progress.show(`reading cgroups, ${++read} so far`);
  const tell = (each: Cgroup, wasNamed: boolean) => {
    const found = look(each, node, options, count);
    if (found) shown.push(found);
    else if (wasNamed) warn(`cannot inspect ${each.path}: it was removed meanwhile`);
    for (const line of found?.inspection.invalidFiles ?? []) warn(line);
  };
  const attempt = (action: () => void) => {
    try {
      action();
    } catch (error) {
      if (!(error instanceof OomkitError)) throw error;
      warn(error.message);
    }
  };
  const seen = new Set<string>();
  if (names.length === 0) attempt(() => tell(withoutTarget(hierarchy, node, options), true));
  for (const name of names) {
    attempt(() => {
      const cgroups = resolveTarget(hierarchy, name);
      for (const each of cgroups) {
        if (seen.has(each.path)) continue;
        seen.add(each.path);
        // Of what a glob found, anything may be gone by now.
        attempt(() => tell(each, cgroups.length === 1));
      }
    });
  }
  return shown;
}

function withoutTarget(hierarchy: Hierarchy, node: boolean, { root }: Options): Cgroup {
  const top = node || root !== undefined ? openCgroup(hierarchy, hierarchy.root) : undefined;
  return top ?? ownCgroup(hierarchy);
}

function look(
  cgroup: Cgroup,
  node: boolean,
  options: Options,
  count: () => void,
): Shown | undefined {
  count();
  const json = wantsJson(options);
  const needless = !json && (options.check || (options.tree && !node));
  const inspection = inspect(cgroup, needless ? 0 : options.processes ?? (json ? Infinity : 8));
  if (inspection === undefined) return undefined;
  if (!options.tree && !node) return { inspection };
  const depth = options.depth ?? (node && !options.tree ? 2 : Infinity);
  const tree = readSubtree(cgroup, {
    depth,
    top: options.top ?? (json ? Infinity : 10),
    look: count,
  });
  return tree && { inspection, tree };
}
