/** Completions for bash 4.3 and newer. The package bash-completion is only needed for the command after `--`. */

import {
  type CommandDefinition,
  type Completers,
  flagsOf,
  type ProgramDefinition,
  takesProgram,
} from "../options/definitions.ts";

export function bashCompletions({ commands, alone }: ProgramDefinition): string {
  const names = commands.map(({ name }) => name).join(" ");
  return `# bash completion for oomkit; to load it: source <(oomkit completions bash)
${FUNCTIONS}
${commands.map(commandFunction).join("\n")}
_oomkit() {
  local cur prev word head= kept= root= behind= i
  local -a words=()
  COMPREPLY=()
  _oomkit_split
  for ((i = 1; i < \${#words[@]} - 1; i++)); do
    case \${words[i]} in
      --) behind=$i; break ;;
      --root) root=\${words[i + 1]} ;;
      --root=*) root=\${words[i]#*=} ;;
    esac
  done
  if ((\${#words[@]} == 2)); then
    _oomkit_word ${names} ${alone.options.flatMap(flagsOf).join(" ")}
  else
    case \${words[1]} in
${commands.map(({ name }) => `      ${name}) _oomkit_${name} ;;`).join("\n")}
    esac
  fi
  COMPREPLY=("\${COMPREPLY[@]#"$kept"}")
}

complete -F _oomkit oomkit
`;
}

/**
 * bash splits words at `=` and `:` and replaces only the last piece. `kept` is the part before it, `head` the name of an option
 * in the same word as its value.
 */
const FUNCTIONS = `
_oomkit_split() {
  local line=\${COMP_LINE:0:COMP_POINT} gap
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    gap=\${line%%[![:space:]]*}
    line=\${line#"$gap"}
    if ((i == COMP_CWORD)); then word=$line; fi
    line=\${line#"$word"}
    if [[ $gap || $i -eq 0 ]]; then words+=("$word"); else words[-1]+=$word; fi
  done
  cur=\${words[-1]}
  prev=\${words[-2]}
  case $word in =|:) word= ;; esac
  kept=\${cur%"$word"}
  if [[ $cur == --*=* ]]; then
    prev=\${cur%%=*}
    head=$prev=
    cur=\${cur#*=}
  fi
}

_oomkit_word() {
  local each
  for each; do
    if [[ $each == "$cur"* ]]; then COMPREPLY+=("$head$each"); fi
  done
}

_oomkit_list() {
  local each taken= last=\${cur##*,}
  if [[ $cur == *,* ]]; then taken=\${cur%,*},; fi
  for each; do
    if [[ $each == "$last"* && ,$taken != *,"$each",* ]]; then COMPREPLY+=("$head$taken$each"); fi
  done
  compopt -o nospace 2>/dev/null
}

_oomkit_target() {
  local mount=$root each path
  if [[ ! $mount ]]; then
    mount=/sys/fs/cgroup
    if [[ $cur == $mount/* ]]; then mount=
    elif [[ -e $mount/memory/memory.limit_in_bytes ]]; then mount+=/memory
    fi
  fi
  case $cur in
    pid:*)
      for each in /proc/[0-9]*; do _oomkit_word "pid:\${each#/proc/}"; done
      return ;;
    unit:*)
      _oomkit_units unit:
      return ;;
    [!/]*)
      _oomkit_word pid: unit: pod:
      if ((\${#COMPREPLY[@]})); then compopt -o nospace 2>/dev/null; fi
      _oomkit_units ''
      if [[ $cur != *[!0-9a-f]* ]]; then _oomkit_containers; fi
      return ;;
    '')
      _oomkit_word pid: unit: pod:
      compopt -o nospace 2>/dev/null ;;
  esac
  IFS= read path <<< "\${cur:-/}"
  for each in "$mount$path"*/; do
    if [[ ! -d $each ]]; then continue; fi
    path=\${each#"$mount"}
    set -- "$each"*/
    if [[ -d $1 ]]; then COMPREPLY+=("$path"); else COMPREPLY+=("\${path%/}"); fi
  done
  compopt -o filenames -o nospace 2>/dev/null
}

_oomkit_units() {
  local each
  while IFS= read -r each; do
    each=\${each##*/}
    if [[ $1$each == "$cur"* ]]; then COMPREPLY+=("$head$1$each"); fi
  done < <(find "$mount" -type d \\( -name '*.service' -o -name '*.slice' -o -name '*.scope' \\) 2>/dev/null)
  if [[ \${COMPREPLY[*]} == *\\\\* ]]; then compopt -o filenames 2>/dev/null; fi
}

_oomkit_containers() {
  local each length=12
  if ((\${#cur} > 12)); then length=64; fi
  while IFS= read -r each; do
    if [[ $each =~ ([0-9a-f]{64})(\\.scope)?$ ]]; then _oomkit_word "\${BASH_REMATCH[1]:0:length}"; fi
  done < <(find "$mount" -type d -name "*$cur*" 2>/dev/null)
}

_oomkit_guard_pid() {
  local each
  for each in "\${OOMKIT_STATE_DIR:-/run/oomkit}"/*.socket "$XDG_RUNTIME_DIR"/oomkit/*.socket; do
    if [[ $each =~ /guard-([0-9]+)-[^/]*$ ]]; then _oomkit_word "\${BASH_REMATCH[1]}"; fi
  done
}

_oomkit_program() {
  local each
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ \${COMP_WORDS[i]} == -- ]]; then break; fi
  done
  for each in _comp_command_offset _command_offset; do
    if declare -F $each >/dev/null; then
      kept=
      $each $((i + 1))
      return
    fi
  done
  if ((behind == \${#words[@]} - 2)); then
    mapfile -t COMPREPLY < <(compgen -c -- "$cur")
  else
    compopt -o default 2>/dev/null
  fi
}
`;

const COMPLETERS: Completers = {
  file: () => "compopt -o default 2>/dev/null",
  directory: () => "compopt -o dirnames 2>/dev/null",
  free: () => ":",
  word: (words) => `_oomkit_word ${words.join(" ")}`,
  list: (words) => `_oomkit_list ${words.join(" ")}`,
};

function commandFunction(command: CommandDefinition): string {
  const { name, options, operands: [operand] } = command;
  const cases = Map.groupBy(
    options,
    ({ completion }) => completion && COMPLETERS[completion.kind](completion.words),
  );
  const operands = operand?.name.startsWith("target")
    ? "_oomkit_target"
    : operand?.name === "pids"
    ? "_oomkit_guard_pid"
    : operand && COMPLETERS.word(operand.choices);
  return [
    `_oomkit_${name}() {`,
    ...takesProgram(command) ? ["  if [[ $behind ]]; then _oomkit_program; return; fi"] : [],
    "  case $prev in",
    ...[...cases].flatMap(([action, those]) =>
      action === undefined ? [] : [`    ${those.flatMap(flagsOf).join("|")}) ${action} ;;`]
    ),
    "    *)",
    "      if [[ $head ]]; then return; fi",
    `      if [[ $cur == -* ]]; then ${COMPLETERS.word(options.flatMap(flagsOf))}`,
    ...operands === undefined ? [] : [`      else ${operands}`],
    "      fi ;;",
    "  esac",
    "}",
    "",
  ].join("\n");
}
