/** Completions for zsh with its completion system (`compinit`). */

import type {
  CommandDefinition,
  OperandDefinition,
  OptionDefinition,
  ProgramDefinition,
} from "../options/definitions.ts";

export function zshCompletions({ commands, alone }: ProgramDefinition): string {
  const names = commands.map(({ name, summary }) => quoted(`${name}:${summary}`)).join(" ");
  return `#compdef oomkit
# zsh completion for oomkit; to load it: source <(oomkit completions zsh)

_oomkit_cgroups() {
  local mount=\${(Q)opt_args[--root]}
  if [[ -z $mount ]]; then
    mount=/sys/fs/cgroup
    if [[ $PREFIX == $mount/* ]]; then _path_files -/; return; fi
    if [[ -e $mount/memory/memory.limit_in_bytes ]]; then mount+=/memory; fi
  fi
  compset -P / || return 1
  _path_files -W "$mount" -/
}

_oomkit_target() {
  if [[ -z $PREFIX ]]; then compadd -S '' pid: unit: pod: /
  elif [[ $PREFIX == /* ]]; then _oomkit_cgroups
  else compadd -S '' pid: unit: pod:
  fi
}

_oomkit() {
  local curcontext=$curcontext state line
  local -A opt_args
  if (( CURRENT == 2 )); then
    local -a commands=(${names})
    if [[ $PREFIX == -* ]]; then compadd -- ${alone.options.flatMap(flagsOf).join(" ")}
    else _describe -t commands command commands
    fi
    return
  fi
  shift words
  (( CURRENT-- ))
  curcontext="\${curcontext%:*}-$words[1]:"
  case $words[1] in
${commands.map(caseOf).join("\n")}
  esac
}

if [[ $funcstack[1] == _oomkit ]]; then _oomkit "$@"; else compdef _oomkit oomkit; fi
`;
}

function caseOf(command: CommandDefinition): string {
  const { name, options, operands, usage } = command;
  const specs = [
    ...options.filter(({ hidden }) => !hidden).map(optionSpec),
    ...operands.map(operandSpec),
  ];
  const behind = usage.includes("-- ")
    ? [
      "      local -i behind=${words[(i)--]}",
      "      if (( behind < CURRENT )); then",
      "        shift behind words",
      "        (( CURRENT -= behind ))",
      "        _normal",
      "        return",
      "      fi",
    ]
    : [];
  return [
    `    ${name})`,
    ...behind,
    "      _arguments -s -S \\",
    `        ${specs.join(" \\\n        ")}`,
    "      ;;",
  ].join("\n");
}

const flagsOf = ({ short, long }: OptionDefinition) => short ? [short, long] : [long];

function optionSpec(option: OptionDefinition): string {
  const { short, long, repeatable, description, value } = option;
  const text = `[${escaped(description)}]${value ? valueSpec(option, value) : ""}`;
  const assigned = (flag: string) => value && !value.optional && flag.startsWith("--") ? "=" : "";
  const [one, two] = flagsOf(option);
  if (repeatable) return flagsOf(option).map((f) => quoted(`*${f}${assigned(f)}${text}`)).join(" ");
  if (two === undefined) return quoted(`${long}${assigned(long)}${text}`);
  return [one!, two].map((f) => quoted(`(${short} ${long})${f}${assigned(f)}${text}`)).join(" ");
}

function valueSpec(
  option: OptionDefinition,
  { name, optional }: NonNullable<OptionDefinition["value"]>,
): string {
  return `${optional ? "::" : ":"}${escaped(name)}:${actionOf(option)}`;
}

function actionOf(option: OptionDefinition): string {
  const values = option.completion;
  switch (values?.kind) {
    case "file":
      return "_files";
    case "folder":
      return "_files -/";
    case "word":
      return `(${values.words.map(escaped).join(" ")})`;
    case "list":
      return `_sequence compadd - ${values.words.map(escaped).join(" ")}`;
    default:
      return " ";
  }
}

function operandSpec({ name, choices, variadic }: OperandDefinition): string {
  const action = choices.length > 0 ? `(${choices.join(" ")})` : "_oomkit_target";
  return quoted(`${variadic ? "*" : ""}:${escaped(name)}:${action}`);
}

/** Brackets and colons mean something to `_arguments`. */
const escaped = (text: string) => text.replace(/[[\]:\\]/g, "\\$&");

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
