/** `oomkit inspect`: what is the limit here, who set it, how much is left, who would die. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover, type Hierarchy, onHost } from "../../core/cgroup/hierarchy.ts";
import { inspect, type Inspection } from "../../core/cgroup/inspection.ts";
import { readMachine } from "../../core/cgroup/machine.ts";
import { type Requirement, REQUIREMENTS } from "../../core/cgroup/requirements.ts";
import { ownCgroup, resolveTarget } from "../../core/cgroup/resolve.ts";
import { type CgroupTree, readSubtree } from "../../core/cgroup/subtree.ts";
import { OomkitError, shortened } from "../../core/errors.ts";
import { inspectDocument } from "../../core/events/inspect.ts";
import { toJson } from "../../core/events/json.ts";
import { CI_SERVICES, withoutCommands } from "../output/annotate.ts";
import { check, checkLines } from "./check.ts";
import { type CheckOutput, type CiFlags, openCheckOutput } from "./ci.ts";
import { nodeLines } from "./text.ts";
import type { AlsoShow } from "./picture.ts";
import { inspectionLines } from "./text.ts";
import { treeLines } from "./tree.ts";
import type { TextLayout } from "../terminal/wrap.ts";
import type { ExitCode, Finish } from "../exit.ts";
import {
  type Common,
  oneOf,
  option,
  parsed,
  parsedList,
  parseWhole,
  subcommand,
  wantsJson,
} from "../options/option.ts";
import { createProgress, type Progress, terminalOutput } from "../terminal/progress.ts";
import { print, printable, printStderr } from "../output/output.ts";
import { forceOption } from "../options/record.ts";
import { chooseStyle, terminalWidth } from "../terminal/style.ts";
import { parseSizeOrPercent } from "../options/units.ts";

const requirements = Object.keys(REQUIREMENTS) as Requirement[];

export function inspectCommand(finish: Finish) {
  return subcommand("inspect", "show limits, who set them, what is left, and who would die")
    .argument("[target...]", "cgroup path, glob, pid:N, unit:NAME, pod:UID or container id")
    .addOption(option("--tree", "a table of everything beneath, the largest first"))
    .addOption(option("--depth <levels>", "of the tree").argParser(parsed(parseWhole(0))))
    .addOption(
      option("--top <count>", "children shown of each cgroup").argParser(parsed(parseWhole(1))),
    )
    .addOption(
      option("--processes <count>", "how many to show, or all (8 in text, all in JSON)")
        .argParser(parsed((text) => text === "all" ? Infinity : parseWhole(0)(text))),
    )
    .addOption(option("--check", "say whether it is fit: exit 0 yes, 1 no, 2 cannot tell"))
    .addOption(
      option("--min-headroom <amount>", "check: at least so much is left, such as 512M or 20%")
        .argParser(parsed(parseSizeOrPercent)),
    )
    .addOption(
      option("--max-usage <amount>", "check: at most so much is in use, such as 80% or 1G")
        .argParser(parsed(parseSizeOrPercent)),
    )
    .addOption(
      option("--require <requirements>", `check: ${requirements.join(", ")}`)
        .argParser(parsedList(oneOf(requirements))),
    )
    .addOption(
      option("--annotate <service>", "check: tell what is wrong to a CI service, on stderr")
        .choices(CI_SERVICES),
    )
    .addOption(option("--junit <file>", "check: write the findings there, as JUnit XML"))
    .addOption(
      option("--html <file>", "draw a recording, or with --tree where memory is, as a page"),
    )
    .addOption(option("--svg <file>", "the same as a still picture"))
    .addOption(forceOption)
    .addHelpText("after", requirementHelp() + CI_HELP)
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
  return `\nWhat --require can ask for:\n${lines.join("\n")}`;
}

const CI_HELP = `

In CI: --annotate github shows findings on the page of the run, gitlab as a
section of the job's log; GitLab's pages show them by --junit, named as
artifacts:reports:junit.`;

/** No cgroup that anybody has met is called so. */
const isRecordingName = (names: readonly string[]) =>
  names.length === 1 && /\.jsonl(\.gz)?$/.test(names[0]!);

const kebab = (name: string) =>
  name.replace(/[A-Z]/g, (httpMessage) => `-${httpMessage.toLowerCase()}`);

interface Options extends Common, CiFlags {
  readonly tree?: true | undefined;
  readonly depth?: number | undefined;
  readonly top?: number | undefined;
  readonly processes?: number | undefined;
  readonly check?: true | undefined;
  readonly minHeadroom?: ReturnType<typeof parseSizeOrPercent> | undefined;
  readonly maxUsage?: ReturnType<typeof parseSizeOrPercent> | undefined;
  readonly require?: Requirement[] | undefined;
  readonly html?: string | undefined;
  readonly svg?: string | undefined;
  readonly force?: true | undefined;
}

interface Shown {
  readonly inspection: Inspection;
  readonly tree?: CgroupTree;
}

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
  const look: TextLayout = { style: chooseStyle(options.color), width: terminalWidth() };
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
