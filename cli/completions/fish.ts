/** Completions for fish 3 and newer. */

import type {
  CommandDefinition,
  Completers,
  OptionDefinition,
  ProgramDefinition,
} from "../options/definitions.ts";

export function fishCompletions({ commands, alone }: ProgramDefinition): string {
  const first = "complete -c oomkit -n __oomkit_at_first";
  return [
    "# fish completion for oomkit; to load it: oomkit completions fish | source",
    FUNCTIONS,
    "complete -c oomkit -f",
    ...alone.options.map((option) => `${first}${flags(option)} -d ${quoted(option.description)}`),
    ...commands.map(({ name, summary }) => `${first} -a ${name} -d ${quoted(summary)}`),
    "complete -c oomkit -n __oomkit_behind -a '(__oomkit_program)'",
    ...commands.flatMap(linesOf),
    "",
  ].join("\n");
}

const FUNCTIONS = `
function __oomkit_at_first
    test (count (commandline -opc)) -eq 1
end

function __oomkit_in
    set -l words (commandline -opc)
    test "$words[2]" = $argv[1]; and not contains -- -- $words[3..]
end

function __oomkit_behind
    set -l words (commandline -opc)
    test "$words[2]" = watch; and contains -- -- $words[3..]
end

function __oomkit_program
    set -l words (commandline -opc) (commandline -ct)
    set -e words[1..(contains -i -- -- $words)]
    complete -C (string join ' ' -- (string escape -- $words[1..-2]) $words[-1])
end

function __oomkit_list
    set -l taken (string replace -r '[^,]*$' '' -- (commandline -ct | string replace -r '^--[^=]*=' ''))
    for each in $argv
        contains -- $each (string split , -- $taken); or echo $taken$each
    end
end

function __oomkit_mount
    set -l words (commandline -opc)
    set -l mount
    for i in (seq (count $words))
        string match -q -- '--root=*' $words[$i]; and set mount (string replace -- --root= '' $words[$i])
        test "$words[$i]" = --root; and set mount $words[(math $i + 1)]
    end
    if test -z "$mount"
        set mount /sys/fs/cgroup
        test -e $mount/memory/memory.limit_in_bytes; and set mount $mount/memory
    end
    echo $mount
end

function __oomkit_targets
    set -l typed (commandline -ct)
    set -l mount (__oomkit_mount)
    switch $typed
        case ''
            return
        case 'pid:*'
            string replace -rf '^/proc/(\\d+)$' 'pid:$1\\tprocess' -- /proc/*
        case '/*'
            __oomkit_cgroups $mount
        case '*'
            set -l prefix (string match -r '^unit:' -- $typed)
            set -l names (find $mount -type d 2>/dev/null | string replace -r '.*/' '')
            string match -r '.+\\.(?:service|slice|scope)$' -- $names | string replace -r '^' "$prefix" | string replace -r '$' '\\tunit'
            set -l length 12
            test (string length -- $typed) -gt 12; and set length 64
            string match -qr '^[0-9a-f]+$' -- $typed
            and string replace -rf '^.*?([0-9a-f]{64})(?:\\.scope)?$' '$1' -- $names | string sub -l $length | string replace -r '$' '\\tcontainer'
    end
end

function __oomkit_guards
    set -l state /run/oomkit
    set -q OOMKIT_STATE_DIR; and set state $OOMKIT_STATE_DIR
    set -l sockets $state/guard-*.socket $XDG_RUNTIME_DIR/oomkit/guard-*.socket
    string replace -rf '^.*/guard-(\\d+)-[^/]*$' '$1\\tguard' -- $sockets
end

function __oomkit_cgroups
    set -l mount $argv[1]
    set -l typed (string unescape -- (commandline -ct))
    if string match -q '/sys/fs/cgroup/*' -- $typed
        __fish_complete_directories $typed cgroup
        return
    end
    set -l directory (string replace -r '[^/]*$' '' -- $typed)
    for each in $mount$directory*/
        set -l path (string replace -- $mount '' $each)
        set -l inner $each*/
        test -n "$inner"; and echo $path; or string trim -r -c / -- $path
    end
end
`;

const COMPLETERS: Completers = {
  file: () => " -r -F",
  directory: () => " -x -a '(__fish_complete_directories)'",
  free: () => " -x",
  word: (words) => ` -x -a ${quoted(words.join(" "))}`,
  list: (words) => ` -x -a '(__oomkit_list ${words.join(" ")})'`,
};

function linesOf({ name, options, operands }: CommandDefinition): string[] {
  const head = `complete -c oomkit -n '__oomkit_in ${name}'`;
  return [
    ...options.map((option) => {
      const { completion, description } = option;
      const values = completion ? COMPLETERS[completion.kind](completion.words) : "";
      return `${head}${flags(option)}${values} -d ${quoted(description)}`;
    }),
    ...operands.flatMap(({ name, choices }) =>
      choices.length > 0
        ? [`${head} -a ${quoted(choices.join(" "))}`]
        : name === "pids"
        ? [`${head} -a '(__oomkit_guards)'`]
        : [`${head} -a 'pid: unit: pod:'`, `${head} -a '(__oomkit_targets)' -d cgroup`]
    ),
  ];
}

const flags = ({ short, long }: OptionDefinition) =>
  `${short ? ` -s ${short.slice(1)}` : ""} -l ${long.slice(2)}`;

const quoted = (text: string) => `'${text.replace(/['\\]/g, "\\$&")}'`;
