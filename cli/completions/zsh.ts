/** Completions for zsh with its completion system (`compinit`). */

import {
  type CommandDefinition,
  type Completers,
  flagsOf,
  type OperandDefinition,
  type OptionDefinition,
  type ProgramDefinition,
  takesProgram,
} from "../options/definitions.ts";

export function zshCompletions({ commands, alone }: ProgramDefinition): string {
  const names = commands.map(({ name, summary }) => quoted(`${name}:${summary}`)).join(" ");
  return `#compdef oomkit
# zsh completion for oomkit; to load it: source <(oomkit completions zsh)

_oomkit_target() {
  local mount=\${(Q)opt_args[--root]} each
  local -a ids
  if [[ -z $mount ]]; then
    mount=/sys/fs/cgroup
    if [[ $PREFIX == $mount/* ]]; then _path_files -/; return; fi
    if [[ -e $mount/memory/memory.limit_in_bytes ]]; then mount+=/memory; fi
  fi
  case $PREFIX in
    /*)
      compset -P / || return 1
      _path_files -W "$mount" -/ ;;
    pid:*)
      compset -P pid:
      compadd -- /proc/<->(N/:t) ;;
    unit:*)
      compset -P unit:
      compadd -- $mount/**/*.(service|slice|scope)(N/:t) ;;
    '') compadd -S '' pid: unit: pod: / ;;
    *)
      compadd -S '' pid: unit: pod:
      compadd -- $mount/**/*.(service|slice|scope)(N/:t)
      if [[ $PREFIX != *[^0-9a-f]* ]]; then
        for each in $mount/**/*$PREFIX*(N/:t); do
          if [[ $each =~ '([0-9a-f]{64})(\\.scope)?$' ]]; then
            if (( $#PREFIX > 12 )); then ids+=$match[1]; else ids+=\${match[1][1,12]}; fi
          fi
        done
        compadd -a ids
      fi ;;
  esac
}

_oomkit_guard_pid() {
  local -a sockets=(\${OOMKIT_STATE_DIR:-/run/oomkit}/guard-*.socket(N:t) $XDG_RUNTIME_DIR/oomkit/guard-*.socket(N:t))
  compadd -- \${\${sockets#guard-}%%-*}
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
  const specs = [...command.options.map(optionSpec), ...command.operands.map(operandSpec)];
  return [
    `    ${command.name})`,
    ...takesProgram(command) ? [BEHIND_DASHES] : [],
    "      _arguments -s -S \\",
    `        ${specs.join(" \\\n        ")}`,
    "      ;;",
  ].join("\n");
}

const BEHIND_DASHES = `      local -i behind=\${words[(i)--]}
      if (( behind < CURRENT )); then
        shift behind words
        (( CURRENT -= behind ))
        _normal
        return
      fi`;

const COMPLETERS: Completers = {
  file: () => "_files",
  directory: () => "_files -/",
  free: () => " ",
  word: (words) => `(${words.map(escaped).join(" ")})`,
  list: (words) => `_sequence compadd - ${words.map(escaped).join(" ")}`,
};

function optionSpec(option: OptionDefinition): string {
  const { repeatable, description, value, completion } = option;
  const action = completion ? COMPLETERS[completion.kind](completion.words) : " ";
  const argument = value ? `${value.optional ? "::" : ":"}${escaped(value.name)}:${action}` : "";
  const flags = flagsOf(option);
  const others = repeatable ? "*" : flags.length > 1 ? `(${flags.join(" ")})` : "";
  return flags.map((each) => {
    const sign = value && !value.optional && each.startsWith("--") ? "=" : "";
    return quoted(`${others}${each}${sign}[${escaped(description)}]${argument}`);
  }).join(" ");
}

function operandSpec({ name, choices, variadic }: OperandDefinition): string {
  const action = choices.length > 0
    ? `(${choices.join(" ")})`
    : name === "pids"
    ? "_oomkit_guard_pid"
    : "_oomkit_target";
  return quoted(`${variadic ? "*" : ""}:${escaped(name)}:${action}`);
}

/** Brackets and colons mean something to `_arguments`. */
function escaped(text: string): string {
  return text.replace(/[[\]:\\]/g, "\\$&");
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
