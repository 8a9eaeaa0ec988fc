/** What the program's help says of each command, so that it can be printed without loading any of them. */

export interface CommandSummary {
  readonly description: string;
  /** As commander takes them: `[optional] <required>`. */
  readonly operands: string;
  readonly hasOptions: boolean;
}

/** In the order of the help. */
export const SUMMARIES = {
  inspect: {
    description: "show limits, the cgroups that set them, headroom, and the most likely victim",
    operands: "[target...]",
    hasOptions: true,
  },
  watch: {
    description: "report memory events as they happen, from kernel notifications",
    operands: "[targets...]",
    hasOptions: true,
  },
  history: {
    description: "show what was OOM-killed on this machine, from the kernel log and the journal",
    operands: "[targets...]",
    hasOptions: true,
  },
  guard: {
    description: "act before the kernel's OOM killer does",
    operands: "[targets...]",
    hasOptions: true,
  },
  status: {
    description: "show what running guards do and have done",
    operands: "[pids...]",
    hasOptions: true,
  },
  simulate: {
    description: "run a process into a memory limit on purpose and explain what the kernel does",
    operands: "",
    hasOptions: true,
  },
  completions: {
    description: "print a completion script for bash, zsh or fish",
    operands: "<shell>",
    hasOptions: false,
  },
} as const satisfies Readonly<Record<string, CommandSummary>>;
