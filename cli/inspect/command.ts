/** `oomkit inspect`: the limit of a cgroup, the cgroup that sets it, the headroom, and the most likely victim. */

import { type Cgroup, openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover, type Hierarchy, showsMachine } from "../../core/cgroup/hierarchy.ts";
import { inspect, type Inspection } from "../../core/cgroup/inspection.ts";
import { type Machine, machineOf } from "../../core/cgroup/machine.ts";
import type { Requirement } from "../../core/cgroup/requirements.ts";
import { ownCgroup, resolveTarget } from "../../core/cgroup/resolve.ts";
import {
  type CgroupTree,
  readSubtree,
  SORT_KEYS,
  sortedCgroups,
} from "../../core/cgroup/subtree.ts";
import { OomkitError } from "../../core/errors.ts";
import type { Checked } from "../../core/events/inspect_document.ts";
import { toJson } from "../../core/events/json.ts";
import type { CheckOutput } from "./check.ts";
import type { AlsoShow } from "./picture.ts";
import { inspectionLines, nodeLines, treeLines } from "./text.ts";
import type { TextLayout } from "../terminal/layout.ts";
import type { ExitCode, Finish } from "../exit.ts";
import {
  choice,
  flag,
  type FlagsOf,
  list,
  negated,
  oneOf,
  parseWhole,
  separated,
  value,
  withHelp,
} from "../options/option.ts";
import {
  CI_SERVICES,
  type CiService,
  type Common,
  FORCE_OPTION,
  subcommand,
  wantsJson,
} from "../options/subcommand.ts";
import { createProgress, type Progress, terminalOutput } from "../terminal/progress.ts";
import { print, printable, printStderr } from "../output/output.ts";
import { chooseStyle } from "../terminal/palette.ts";
import { terminalWidth } from "../terminal/capabilities.ts";
import { parseSizeOrPercent } from "../options/units.ts";
import { SUMMARIES } from "../summaries.ts";

const REQUIREMENTS: Readonly<Record<Requirement, string>> = {
  limit: "the cgroup or an ancestor has a memory limit",
  psi: "pressure stall information is available",
  v1: "the memory controller is in cgroup v1",
  v2: "the memory controller is in cgroup v2",
  notify: "the kernel can notify about an OOM here",
  kmsg: "the kernel log is readable, so that victims are named",
  write: "the limit may be changed",
  "swap-off": "no swap that delays an OOM",
  killer: "the OOM killer is enabled: allocators do not wait at the limit",
  "no-kills": "no OOM kill here or below (v1: removed cgroups are not counted)",
};

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
  sort: choice("--sort <key>", "with --tree: list the cgroups by this instead, the largest first", {
    group: "contents",
    choices: SORT_KEYS,
  }),
  headers: negated("--no-headers", "with --tree: omit the titles of the columns", {
    group: "output",
  }),
  output: choice("-o, --output <format>", "format of the output; wide: more columns of a tree", {
    group: "output",
    choices: ["text", "json", "yaml", "wide"],
    default: ["text", "text"],
  }),
  processes: value("--processes <count>", "processes to show, or all (default: 8; all in JSON)", {
    ...CONTENTS,
    parse: (text) => text === "all" ? Infinity : parseWhole(0, ", or all")(text),
  }),
  check: flag("--check", "check requirements: exit 0 ok, 1 not ok, 2 unknown", BASIC_CHECK),
  minHeadroom: value("--min-headroom <amount>", "minimum headroom, such as 512M or 20%", {
    ...BASIC_CHECK,
    parse: parseSizeOrPercent,
  }),
  maxUsage: value("--max-usage <amount>", "maximum usage, such as 80% or 1G", {
    ...BASIC_CHECK,
    parse: parseSizeOrPercent,
  }),
  metric: choice("--metric <what>", "what counts as used in --min-headroom", {
    ...CHECK,
    choices: ["working-set", "usage"],
    default: ["working-set", "working-set"],
  }),
  require: list("--require <requirements>", "required properties, such as limit,psi (see --help)", {
    ...BASIC_CHECK,
    words: requirements,
    isClosed: true,
    parse: separated(oneOf(requirements)),
  }),
  quiet: flag("-q, --quiet", "print no findings: only the exit status tells", CHECK),
  annotate: choice(
    "--annotate <service>",
    "print findings as annotations of a CI service, on stderr",
    { ...CHECK, choices: CI_SERVICES },
  ),
  junit: value("--junit <file>", "write findings to this file as JUnit XML", CHECK),
  html: value(
    "--html <file>",
    "draw the target, a recording, as an HTML page; with --tree the tree",
    {
      ...PICTURE,
      isBasic: true,
    },
  ),
  svg: value(
    "--svg <file>",
    "draw the target, a recording, as an SVG image; with --tree the tree",
    PICTURE,
  ),
  ...FORCE_OPTION,
};

type Options = Omit<Common, "output"> & FlagsOf<typeof INSPECT_OPTIONS>;

/** Checks without `--check`, and the document for text, stay unloaded: an inspect without them starts without this code. */
const loadParts = async (options: Options) => ({
  checks: options.check
    ? { ...await import("./check.ts"), ...await import("../output/annotate.ts") }
    : undefined,
  document: wantsDocument(options)
    ? await import("../../core/events/inspect_document.ts")
    : undefined,
  yaml: options.output === "yaml" ? await import("../../core/events/yaml.ts") : undefined,
});

/** JSON or YAML: everything, for another program. */
const wantsDocument = (options: Options) => wantsJson(options) || options.output === "yaml";

export function inspectCommand(finish: Finish) {
  const command = subcommand(
    "inspect",
    SUMMARIES.inspect.description,
    INSPECT_OPTIONS,
  ).argument("[target...]", TARGET_HELP);
  return withHelp(command, {
    examples: [
      "oomkit inspect my.service pid:4242 --json",
      "oomkit inspect /kubepods --check --min-headroom 20% --require limit,psi",
      "oomkit inspect run.jsonl.gz",
    ],
    notes: requirementHelp() + CI_HELP,
    exitStatus: {
      "0": "all targets are shown; with --check: ok",
      "1": "with --check: not ok, a requirement is not met",
      "2": "a target cannot be inspected; with --check: unknown",
    },
  }).action(async (targets, options, command) => {
    const isGiven = (name: string) => command.getOptionValueSource(name) === "cli";
    const recording = await recordingAmong(targets, options.root);
    recording?.refuseOptions(isGiven);
    const checkOnly = ["minHeadroom", "maxUsage", "metric", "require", "annotate", "junit", "quiet"]
      .find(isGiven);
    if (checkOnly !== undefined && !options.check) {
      throw new OomkitError(`cannot use --${kebab(checkOnly)} alone: it is a check`, "add --check");
    }
    const pictures = options.html === undefined && options.svg === undefined
      ? undefined
      : await import("./picture.ts");
    // A file from an environment variable may be meant for another call.
    const isMeant = isGiven("html") || isGiven("svg") || pictures?.isRecordingAt(targets);
    if (pictures && isMeant && !options.tree) {
      return finish(await pictures.drawRecording(targets, options));
    }
    if (recording) return finish(await recording.show(options));
    const treeOnly = ["depth", "top", "sort", "headers"].find(isGiven)
      ?.replace("headers", "no-headers");
    const drawing = options.tree && pictures?.openTreePicture(options);
    try {
      const parts = await loadParts(options);
      const code = new InspectRun(targets, treeOnly, options, parts).run(drawing?.show);
      await drawing?.write();
      finish(code);
    } finally {
      drawing?.drop();
    }
  });
}

const RECORDING_NAME = /\.jsonl(\.gz)?$/;

/** The recording that `targets` name; what reads it is loaded only where a target is a file or has the name of a recording. */
async function recordingAmong(targets: readonly string[], root: string | undefined) {
  const mayBeRecording = targets.some((name) => RECORDING_NAME.test(name) || isFile(name));
  return mayBeRecording
    ? (await import("./recording.ts")).openRecordingAmong(targets, root, RECORDING_NAME)
    : undefined;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

const TARGET_HELP = "cgroup path, glob, pid:N, unit:NAME, pod:UID, container id, recording " +
  "(default: the machine; its own cgroup with --check or in a container)";

function requirementHelp(): string {
  const width = Math.max(...requirements.map((name) => name.length));
  const lines = requirements.map((name) => `  ${name.padEnd(width)}  ${REQUIREMENTS[name]}`);
  return `Requirements of --require:\n${lines.join("\n")}`;
}

const CI_HELP = `

In CI: --annotate github shows findings on the page of the run, and as a table
in the summary of the step, gitlab as a section of the job's log. GitLab's
pages show the file of --junit when it is named under artifacts:reports:junit.`;

/** GitHub, GitLab and most other CI services set it in a job. */
const isInCi = () => !["", "0", "false"].includes(Deno.env.get("CI") ?? "");

const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

interface Shown {
  readonly inspection: Inspection;
  readonly tree?: CgroupTree;
  /** The cgroups of the tree in the order of --sort. */
  readonly sorted?: readonly CgroupTree[];
}

const DEFAULT_PROCESSES = 8;
const DEFAULT_CHILDREN = 10;
const DEFAULT_MACHINE_DEPTH = 2;

class InspectRun {
  /** The CI service that would take commands from stdout and stderr. */
  readonly #service: CiService | undefined;
  readonly #progress: Progress = createProgress(terminalOutput());
  readonly #shown: Shown[] = [];
  readonly #warnings: string[] = [];
  #cgroupsRead = 0;

  /** No target, outside containers: the machine is shown. */
  #wholeMachine = false;

  /** @param treeOnly the given option that applies only to a tree. */
  constructor(
    private readonly names: readonly string[],
    private readonly treeOnly: string | undefined,
    private readonly options: Options,
    private readonly parts: Awaited<ReturnType<typeof loadParts>>,
  ) {
    this.#service = options.check && options.annotate;
  }

  run(alsoShow?: AlsoShow): ExitCode {
    const { minHeadroom, maxUsage, require } = this.options;
    if (this.parts.checks && !minHeadroom && !maxUsage && !require) {
      throw new OomkitError(
        "cannot check: no check is given",
        "add --min-headroom, --max-usage or --require",
      );
    }
    using checkOutput = this.parts.checks?.openCheckOutput(this.options);
    try {
      return this.#show(checkOutput, alsoShow);
    } catch (error) {
      checkOutput?.fail(error);
      throw error;
    }
  }

  #show(checkOutput: CheckOutput | undefined, alsoShow: AlsoShow | undefined): ExitCode {
    const { root, check, tree } = this.options;
    const hierarchy = discover(root);
    this.#wholeMachine = this.names.length === 0 && root === undefined && !check &&
      showsMachine(hierarchy);
    // The machine is shown as a tree without --tree.
    if (this.treeOnly !== undefined && !tree && !this.#wholeMachine) {
      throw new OomkitError(
        `cannot use --${this.treeOnly} alone: it applies to a tree`,
        "add --tree",
      );
    }
    const machine = machineOf(hierarchy);
    this.#readAll(hierarchy, machine);
    this.#progress.end();
    const inspections = this.#shown.map(({ inspection }) => inspection);
    alsoShow?.(inspections.map(({ cgroup }) => cgroup), machine);
    const checked = this.parts.checks?.check(
      {
        ...this.options,
        require: this.options.require ?? [],
        isInCi: isInCi(),
      },
      inspections,
      machine,
      this.#warnings,
    );
    try {
      this.#print(hierarchy, machine, checked);
    } finally {
      // Also if stdout has been closed by its reader.
      if (checked) checkOutput?.write(checked);
    }
    if (checked) return { ok: 0, not_ok: 1, unknown: 2 }[checked.verdict];
    return this.#warnings.length > 0 ? 2 : 0;
  }

  #print(hierarchy: Hierarchy, machine: Machine, checked: Checked | undefined): void {
    const layout: TextLayout = { style: chooseStyle(this.options.color), width: terminalWidth() };
    const { checks, document, yaml } = this.parts;
    if (document) {
      const found = { at: Date.now(), hierarchy, machine, targets: this.#shown };
      const shown = document.inspectDocument(checked ? { ...found, checked } : found);
      const text = yaml ? yaml.toYaml(shown).trimEnd() : toJson(shown, 2);
      print(this.#withoutCommands(text));
    } else if (checked && checks) {
      if (this.options.quiet) return;
      print(this.#withoutCommands(checks.checkLines(checked, layout.style).join("\n")));
    } else if (this.#shown.length > 0) {
      const { headers, output } = this.options;
      const isWide = output === "wide";
      const hasWholeNames = isWide || !Deno.stdout.isTerminal();
      const blocks = this.#shown.map(({ inspection, tree, sorted }) => {
        const treeLayout = { sorted, hasTitles: headers, isWide, hasWholeNames };
        if (!tree) return inspectionLines(inspection, machine, layout);
        return this.#wholeMachine
          ? nodeLines(inspection, tree, machine, layout, treeLayout)
          : treeLines(tree, layout, treeLayout);
      });
      print(blocks.map((lines) => lines.join("\n")).join("\n\n"));
    }
  }

  /** Each target that cannot be read gets a warning; the others are shown. */
  #readAll(hierarchy: Hierarchy, machine: Machine): void {
    if (this.names.length === 0) {
      this.#orWarn(() => this.#add(this.#defaultTarget(hierarchy), machine, true));
    }
    const seen = new Set<string>();
    for (const name of this.names) {
      let found: Cgroup[] = [];
      this.#orWarn(() => found = resolveTarget(hierarchy, name));
      for (const cgroup of found) {
        // Cgroups that a glob matched may be gone by now.
        if (!seen.has(cgroup.path)) {
          this.#orWarn(() => this.#add(cgroup, machine, found.length === 1));
        }
        seen.add(cgroup.path);
      }
    }
  }

  #defaultTarget(hierarchy: Hierarchy): Cgroup {
    const showsRoot = this.#wholeMachine || this.options.root !== undefined;
    const root = showsRoot ? openCgroup(hierarchy, hierarchy.root) : undefined;
    return root ?? ownCgroup(hierarchy);
  }

  #add(cgroup: Cgroup, machine: Machine, wasNamed: boolean): void {
    const found = this.#read(cgroup, machine);
    if (found) this.#shown.push(found);
    else if (wasNamed) this.#warn(`cannot inspect ${cgroup.path}: it was removed meanwhile`);
    found?.inspection.invalidFiles.forEach((line) => this.#warn(line));
  }

  #read(cgroup: Cgroup, machine: Machine): Shown | undefined {
    const { check, tree, processes, depth, top, sort } = this.options;
    this.#countRead();
    const json = wantsDocument(this.options);
    const showsProcesses = json || !check && (!tree || this.#wholeMachine);
    const maxProcesses = processes ?? (json ? Infinity : DEFAULT_PROCESSES);
    const inspection = inspect(cgroup, showsProcesses ? maxProcesses : 0, machine);
    if (inspection === undefined) return undefined;
    if (!tree && !this.#wholeMachine) return { inspection };
    const subtree = readSubtree(cgroup, {
      depth: depth ?? (tree ? Infinity : DEFAULT_MACHINE_DEPTH),
      top: sort !== undefined ? Infinity : top ?? (json ? Infinity : DEFAULT_CHILDREN),
      onRead: () => this.#countRead(),
    });
    if (subtree === undefined) return undefined;
    return sort === undefined
      ? { inspection, tree: subtree }
      : { inspection, tree: subtree, sorted: sortedCgroups(subtree, sort).slice(0, top) };
  }

  #countRead(): void {
    this.#progress.show(`reading cgroups, ${++this.#cgroupsRead} so far`);
  }

  #orWarn(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof OomkitError)) throw error;
      this.#warn(error.message);
    }
  }

  #warn(line: string): void {
    this.#warnings.push(line);
    this.#progress.hide();
    printStderr(this.#withoutCommands(`oomkit: ${printable(line)}`));
  }

  /** The text, with nothing that the CI service would take for a command. */
  #withoutCommands(text: string): string {
    return this.parts.checks?.withoutCommands(this.#service, text) ?? text;
  }
}
